"""Who is who in the CRM of one organisation: contacts, and the people behind them."""

from functools import cached_property
from typing import Any

from crm_pipeline_tests.simulation.organisation import Organisation


class Contacts:
    """The CRM's contacts at one moment."""

    def __init__(self, organisation: Organisation) -> None:
        self._of = organisation
        self.rows: list[dict[str, Any]] = organisation.contacts()
        self.by_code = {each["code"]: each for each in self.rows}

    @cached_property
    def _codes(self) -> dict[str, str]:
        return dict(self._of.codes())

    @cached_property
    def persons(self) -> dict[str, str]:
        """The code of everybody who ordered samples and is linked, by identity."""
        if self._of.samples is None:
            return {}
        ledger = self._of.world.ledger
        return dict(ledger.links.of(self._of.slug, "sopost", self._of.samples.people()))

    @cached_property
    def _members(self) -> dict[str, tuple[list[str], list[str]]]:
        found: dict[str, tuple[list[str], list[str]]] = {}
        for place, codes in enumerate((self._codes, self.persons)):
            for who, code in codes.items():
                found.setdefault(code, ([], []))[place].append(who)
        return found

    def code_of(self, customer: str) -> str:
        """Return the code of a customer's contact."""
        return self._codes.get(customer, f"loke:{customer}")

    def members(self, code: str) -> tuple[list[str], list[str]]:
        """Return the customers, and the people who ordered, that a contact is.

        Links of erased people are gone: a contact's own code still says whose it was.
        """
        customers, people = self._members.get(code, ([], []))
        source, _, who = code.partition(":")
        own = ([who], []) if source == "loke" else ([], [who])
        return [*dict.fromkeys([*customers, *own[0]])], [*dict.fromkeys([*people, *own[1]])]

    def of_customers(self) -> list[dict[str, Any]]:
        """Return the contacts of customers who are not erased, under their codes at LOKE.

        ``known_as`` is the code that they really have. Other contacts are not LOKE's to explain,
        unless they claim to be.
        """
        gone = self._of.erasures.gone()[0] if self._of.erasures is not None else frozenset()
        named = {code: who for who, code in self._codes.items()}
        found = []
        for contact in self.rows:
            code = contact["code"]
            if code in named:
                who = named[code]
            elif code.startswith("loke:"):
                who = code.removeprefix("loke:")
            else:
                continue
            if who not in gone:
                found.append({**contact, "code": f"loke:{who}", "known_as": code})
        return found
