"""People who are erased: whom somebody asked for, what names them, and what is found of them.

The real use case does it, and dies on the way. Here: asking, again and again, and searching. Not
here: what must hold afterwards (``laws_of_erasure``).
"""

import datetime as dt
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_pipeline.core.subject import CONTACT, EMAIL, PHONE
from crm_pipeline.core.tombstones import tombstone
from crm_pipeline.sync.erase.checking import Erased, erased_of
from crm_pipeline.sync.erase.running import erase
from crm_pipeline_tests.sync.erasing import forms_of, unpacked

if TYPE_CHECKING:
    from crm_pipeline_tests.simulation.organisation import Organisation


@dataclass(slots=True)
class Asked:
    """One contact whose erasure was asked for: who they were then.

    ``text`` is how it is asked. ``bought`` are the numbers of their purchases in the CRM when the
    erasure was found complete; None before.
    """

    code: str
    text: str
    customers: frozenset[str]
    people: frozenset[str]
    crm_ids: frozenset[str]
    bought: frozenset[str] | None = None
    is_nobody: bool = field(default=False)

    @property
    def is_complete(self) -> bool:
        """Whether the erasure has said that it is complete."""
        return self.bought is not None


class Erasures:
    """Everybody of one organisation who was to be erased."""

    def __init__(self, organisation: "Organisation") -> None:
        self._of = organisation
        self.asked: dict[str, Asked] = {}

    def ask(self) -> None:
        """Ask for somebody's erasure: a customer's, or somebody's who ordered; perhaps again."""
        chance = self._of.world.chance
        codes = list(dict.fromkeys([*self._of.codes().values(), *self._of_samples()]))
        self.go_on(self.begin(chance.choice(codes)))

    def begin(self, code: str) -> Asked:
        """Note who somebody is before they are erased."""
        known = self.asked.get(code)
        if known is None or not (known.is_complete or self._made(known)):
            known = self.asked[code] = self._known(code)
        return known

    def go_on(self, asked: Asked) -> None:
        """Ask for an erasure, or ask again; it may end early."""
        world, ended = self._of.world, []
        world.as_process(
            lambda: ended.append(
                erase(world.workspace, self._of.binding, asked.text, who="simulation")
            )
        )
        asked.is_nobody = ended == [None] and not asked.is_complete and not self._is_open(asked)

    def inherit(self) -> None:
        """Let a customer who says yes take the address of somebody who is to be erased."""
        chance, gone = self._of.world.chance, self.gone()[0]
        people = self._of.people()
        emails = [each["email"] for each in people if each["id"] in gone and each.get("email")]
        heirs = [
            each["id"]
            for each in people
            if each["id"] not in gone and each.get("hasAgreedToMarketing") is True
        ]
        if emails and heirs:
            fields = {"email": chance.choice(emails)}
            self._of.loke.mutate(self._of.slug, ids=[chance.choice(heirs)], fields=fields)

    def look(self) -> None:
        """Notice which erasures are complete by now, whoever completed them."""
        for asked in self.waiting():
            if self._is_done(asked):
                asked.is_nobody = False
                asked.bought = frozenset(self._bought(asked))

    def waiting(self) -> list[Asked]:
        """Return those asked for that are not complete."""
        return [each for each in self.asked.values() if not each.is_complete]

    def done(self) -> list[Asked]:
        """Return the complete ones."""
        return [each for each in self.asked.values() if each.is_complete]

    def stones(self) -> Erased:
        """Return what our own code takes for erased."""
        return erased_of(self._of.world.workspace, self._of.slug)

    def inherited_at(self, person: Mapping[str, Any]) -> dt.datetime | None:
        """Return when the first erasure began of somebody who alone had a customer's medium.

        None when the customer has no erased person's e-mail address or phone number.
        """
        media = [(EMAIL, person.get("email"))]
        media += [(PHONE, person.get(each)) for each in ("phoneNumber", "telephone")]
        digests = {self._digest(kind, value) for kind, value in media if isinstance(value, str)}
        stones, slug = self._of.world.ledger.tombstones, self._of.slug
        return min(
            (
                each.started_at
                for each in stones.list(slug)
                if any(stone.digest in digests for stone in stones.made_by(slug, each.id))
            ),
            default=None,
        )

    def gone(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the customers and the people who ordered that are erased, or about to be."""
        found = [each for each in self.asked.values() if not each.is_nobody]
        return (
            frozenset().union(*(each.customers for each in found)),
            frozenset().union(*(each.people for each in found)),
        )

    def found_in_files(self, values: list[str]) -> list[str]:
        """Return in which files, or tables of a ledger that others share, some values are."""
        folder = self._of.world.folder
        needles = {form: value for value in values for form in forms_of(value)}
        found = set()
        for path in sorted(folder.rglob("*")):
            if path.is_file() and self._is_ours(path):
                content = path.read_bytes() + unpacked(path) + path.name.encode()
                where = path.relative_to(folder)
                found |= {f"{where}: {needles[form]}" for form in needles if form in content}
        if self._of.world.neighbour is not None:
            for table, content in _rows(folder / "ledger.db", self._of.slug):
                found |= {f"{table}: {needles[form]}" for form in needles if form in content}
        return sorted(found)

    def _is_ours(self, path: Path) -> bool:
        """Whether a file holds this organisation's data and nobody else's."""
        world = self._of.world
        if world.neighbour is None:
            return True
        shared = path.name.startswith("ledger.db")
        return not shared and world.neighbour.slug not in path.relative_to(world.folder).parts

    def _of_samples(self) -> list[str]:
        if self._of.samples is None:
            return []
        people = self._of.samples.people()
        return sorted(self._of.world.ledger.links.of(self._of.slug, "sopost", people).values())

    def _known(self, code: str) -> Asked:
        ledger, slug = self._of.world.ledger, self._of.slug
        customers = {each for each, own in self._of.codes().items() if own == code}
        people = ledger.links.people(slug, "sopost", [code]).get(code, ())
        text = self._of.world.chance.choice([code, code, *sorted(customers)])
        crm_ids = {each["id"] for each in self._of.contacts() if each["code"] == code}
        return Asked(code, text, frozenset(customers), frozenset(people), frozenset(crm_ids))

    def _digest(self, kind: str, value: str) -> str:
        key = self._of.world.workspace.tombstone_key
        assert key is not None
        return tombstone(key.ensure(), self._of.slug, kind, value)

    def _made(self, asked: Asked) -> list[bool]:
        """Return whether each erasure that made a tombstone of the contact is complete."""
        stones, digest = self._of.world.ledger.tombstones, self._digest(CONTACT, asked.code)
        return [
            erasure.is_complete
            for erasure in stones.list(self._of.slug)
            if any(stone.digest == digest for stone in stones.made_by(self._of.slug, erasure.id))
        ]

    def _is_done(self, asked: Asked) -> bool:
        return any(self._made(asked))

    def _is_open(self, asked: Asked) -> bool:
        return False in self._made(asked)

    def _bought(self, asked: Asked) -> set[str]:
        return {
            each["reference_number"]
            for each in self._of.desk.purchases()
            if (each["contact"] or {}).get("code") == asked.code
        }


def _rows(file: Path, organisation: str) -> list[tuple[str, bytes]]:
    """Return every row of a ledger that is an organisation's, or nobody's, by table."""
    found: list[tuple[str, bytes]] = []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                values: dict[str, Any] = dict(row)
                if values.get("organisation", values.get("chain", organisation)) == organisation:
                    found.append((table, repr(list(values.values())).encode()))
    return found
