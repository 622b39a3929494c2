"""Remembers, apart from our code, what an organisation's sources ever showed and people ever said.

Here: memory. Not here: what it forbids (``laws``).
"""

import datetime as dt
import unicodedata
from typing import TYPE_CHECKING, Any

from crm_pipeline_tests.simulation.organisation import Organisation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Witness:
    """What one organisation's people said (I8) and how they were shown (I4), step by step.

    Moments are those of the world's clock, by LOKE's id of the customer: ``yes_at`` when they last
    began to say yes, ``no_at`` when a sync without any trouble last saw them say no. ``closed_at``
    is when somebody unsubscribed in the CRM and we were shown it, by code. ``granted`` are the
    people who ever said yes to e-mail with a sample order, by identity.
    """

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self.yes_at: dict[str, dt.datetime] = {}
        self.no_at: dict[str, dt.datetime] = {}
        self.refused: set[str] = set()
        self.closed_at: dict[str, dt.datetime] = {}
        self.granted: set[str] = set()
        #: Every name, address and number that a person was ever shown with, by kind and person.
        self.shown: dict[tuple[str, str], dict[str, set[str]]] = {}
        self._answers: dict[str, object] = {}
        self.look()

    def look(self) -> None:
        """Note who says yes now, who says it anew, and how everybody is shown."""
        now = self.organisation.world.clock.now
        for person in self.organisation.people():
            who, answer = person["id"], person.get("hasAgreedToMarketing")
            if answer is True and self._answers.get(who) is not True:
                self.yes_at[who] = now
            if answer is False:
                self.refused.add(who)
            self._answers[who] = answer
            self._show("loke", who, person.get("firstName"), person, "phoneNumber")
        samples = self.organisation.samples
        if samples is None:
            return
        for order in samples.orders():
            body = order.body
            first_name = body["full_name"].partition(" ")[0]
            self._show("sopost", body["identity"], first_name, body, "telephone")
            if samples.is_granted(order):
                self.granted.add(body["identity"])

    def saw_unsubscription(self, code: str) -> None:
        """Note that somebody unsubscribed, and that we were shown it."""
        self.closed_at[code] = self.organisation.world.clock.now

    def saw_sync(self) -> None:
        """Note that a sync had no trouble: whoever says no now was heard."""
        now = self.organisation.world.clock.now
        for who, answer in self._answers.items():
            if answer is False:
                self.no_at[who] = now

    def values(self, members: "Iterable[tuple[str, str]]") -> "Mapping[str, set[str]]":
        """Return every name, address and number that some people ever had, by field."""
        found: dict[str, set[str]] = {"first_name": set(), "email": set(), "phone": set()}
        for member in members:
            for name, values in self.shown.get(member, {}).items():
                found[name] |= values
        return found

    def _show(
        self, source: str, who: str, name: object, record: dict[str, Any], phone: str
    ) -> None:
        known = self.shown.setdefault((source, who), {"first_name": set(), "email": set()})
        known.setdefault("phone", set())
        for field, value in (
            ("first_name", name),
            ("email", record.get("email")),
            ("phone", record.get(phone)),
        ):
            if isinstance(value, str) and value.strip():
                known[field].add(plain(value, is_folded=field == "email"))


def plain(text: str, *, is_folded: bool = False) -> str:
    """Return a text as it is compared: composed letters, single spaces."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    return words.casefold() if is_folded else words
