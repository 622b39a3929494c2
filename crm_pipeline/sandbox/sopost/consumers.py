"""Invented people who order samples: every third of them is also a LOKE customer.

The same person for the same (seed, organisation, index). Who is a LOKE customer too has that
customer's e-mail address, sometimes in other letters' case, and mostly that phone number. Here:
one person. Not here: what they order (``vendor``).
"""

import hashlib
import random
from typing import Any

from crm_pipeline.sandbox.people import Customer, People
from crm_pipeline.sandbox.settings import SandboxOrganisation

#: Every how many people one is a LOKE customer as well.
SHARED_EVERY = 3

_STREETS = ("Quay Road", "Bath Lane", "Mill Street", "Abbey Walk", "Church Row")
_TOWNS: tuple[tuple[str, str, str, str], ...] = (
    ("Leeds", "West Yorkshire", "GBR", "LS1 4AB"),
    ("Newcastle upon Tyne", "Tyne & Wear", "GBR", "NE4 5TF"),
    ("Melbourne", "Victoria", "AUS", "3006"),
    ("Auckland", "", "NZL", "1010"),
    ("Singapore", "", "SGP", "018956"),
)


class Consumers:
    """The endless row of people who order from one organisation."""

    def __init__(self, seed: int, organisation: SandboxOrganisation) -> None:
        """Know both rows: LOKE's people, and SoPost's own."""
        self._seed = seed
        self._organisation = organisation
        self._loke = People(seed, organisation.id)
        self._own = People(seed, f"sopost:{organisation.id}")

    def loke_index(self, index: int) -> int | None:
        """Return which LOKE customer a person is, None for somebody whom LOKE does not know."""
        count = self._organisation.customers
        if index % SHARED_EVERY != 0 or count == 0:
            return None
        return index // SHARED_EVERY * 7 % count

    def person(self, index: int) -> dict[str, Any]:
        """Return a person's members of an order."""
        chance = random.Random(f"{self._seed}:{self._organisation.id}:{index}")
        theirs = self.loke_index(index)
        row = self._own.person(index) if theirs is None else self._loke.person(theirs)
        email = row.get("email") or f"sample{index}@post.example.com"
        if theirs is not None:
            email = (email, email.upper(), email.title())[index // SHARED_EVERY % 3]
        person: dict[str, Any] = {
            "full_name": _full_name(row, chance),
            "email": email,
            "address": _address(chance),
            "identity": hash_of(email),
        }
        if row.get("phoneNumber", "").startswith("+") and chance.random() < 0.8:
            person["telephone"] = row["phoneNumber"]
        return person


def hash_of(email: str) -> str:
    """Return an identity made of an e-mail address. The real way of making it is not known."""
    return hashlib.sha256(email.lower().encode()).hexdigest()


def _full_name(row: Customer, chance: random.Random) -> str:
    parts = [row["firstName"], row["lastName"]]
    if chance.random() < 0.1:
        parts.insert(1, chance.choice(("Jo", "Marie", "van")))
    return " ".join(part for part in parts if part)


def _address(chance: random.Random) -> dict[str, str]:
    town, district, territory, postcode = chance.choice(_TOWNS)
    return {
        "line_1": f"{chance.randrange(1, 200)} {chance.choice(_STREETS)}",
        "line_2": f"Flat {chance.randrange(1, 30)}" if chance.random() < 0.3 else "",
        "town": town,
        "district": district,
        "territory": territory,
        "postcode": postcode,
    }
