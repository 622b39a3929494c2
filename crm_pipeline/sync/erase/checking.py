"""What every entrance asks: was this person erased?

One query of the ledger a pass; identifiers are digested only where there are tombstones at all. A
person is known again by the ids of sources. An e-mail address or a phone number alone makes nobody
the erased person, but whoever comes with it is opted out until a newer yes is recorded.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.ports import DecodedPage
from crm_pipeline.core.records import ConsentRecord, Reject
from crm_pipeline.core.subject import (
    CONTACT,
    CUSTOMER,
    EMAIL,
    MEDIA,
    PAYMENT,
    PERSON,
    PHONE,
    SAMPLE,
)
from crm_pipeline.core.tombstones import (
    identifying_columns,
    key_name,
    refusal_key,
    texts_in,
    tombstone,
)
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.sync.workspace import Workspace

#: Identifiers whose digests are remembered in a pass: a person has many rows.
_REMEMBERED = 65_536
#: What the id in one of our keys may be of.
_OF_KEYS = (CUSTOMER, PAYMENT, SAMPLE, PERSON)


class Erased:
    """Who of one organisation was erased. False in a condition: nobody ever was."""

    def __init__(
        self, organisation: str, key: bytes = b"", stones: Mapping[str, str] | None = None
    ) -> None:
        self._stones = stones or {}
        self._kinds = frozenset(self._stones.values())
        self._digest = lru_cache(_REMEMBERED)(
            lambda kind, value: tombstone(key, organisation, kind, value)
        )

    def __bool__(self) -> bool:
        """Whether anybody was."""
        return bool(self._stones)

    def has(self, kind: str, value: object) -> bool:
        """Whether an identifier is an erased person's."""
        if kind not in self._kinds or not isinstance(value, str) or not value:
            return False
        return self._digest(kind, value) in self._stones

    def has_row(self, source: str, dataset: str, row: Mapping[str, Any]) -> bool:
        """Whether a record of a source is an erased person's."""
        columns = identifying_columns(source, dataset)
        return any(self.has(kind, row.get(column)) for column, kind in columns.items())

    def has_object(self, key: str) -> bool:
        """Whether one of our objects is an erased person's, told by its key alone.

        A key is a prefix and an id of a source; a purchase's is that of its payment or order.
        """
        if not self:
            return False
        source_id = key.partition(":")[2].removesuffix(":refund")
        is_record = any(self.has(kind, source_id) for kind in _OF_KEYS)
        return is_record or self.has(CONTACT, key)

    def kept(self, source: str, dataset: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return landed rows without those of erased people."""
        if not self:
            return rows
        lists = [
            [self.has(kind, value) for value in rows.column(column).to_pylist()]
            for column, kind in identifying_columns(source, dataset).items()
            if kind in self._kinds and column in rows.schema.names
        ]
        if not any(map(any, lists)):
            return rows
        return rows.filter(pa.array([not any(flags) for flags in zip(*lists, strict=True)]))

    def page(self, source: str, dataset: str, page: DecodedPage) -> tuple[DecodedPage, int]:
        """Return a page without erased people, and how many records were left out.

        ``row_count`` stays: it tells how long the source's page was.
        """
        if not self:
            return page, 0
        rows = self.kept(source, dataset, page.rows)
        rejects = tuple(self._kept_rejects(source, page.rejects))
        left_out = page.rows.num_rows - rows.num_rows + len(page.rejects) - len(rejects)
        return replace(page, rows=rows, rejects=rejects), left_out

    def is_named_in(self, text: str) -> bool:
        """Whether JSON names an erased person by an id."""
        return self._is_named(text, self._kinds - MEDIA)

    def _is_named(self, text: str, kinds: Collection[str]) -> bool:
        if not kinds:
            return False
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return False
        return any(self.has(kind, each) for each in texts_in(value) for kind in kinds)

    def refusal_keys(self, email: object, phone: object) -> list[str]:
        """Return under which keys the refusals of the erased holder of a medium are kept."""
        media = ((EMAIL, email), (PHONE, phone))
        return [
            refusal_key(self._digest(kind, str(value)))
            for kind, value in media
            if self.has(kind, value)
        ]

    def _kept_rejects(self, source: str, rejects: Iterable[Reject]) -> Iterator[Reject]:
        """Give the rejects of others; of a record that may be anybody's, all but its content."""
        for each in rejects:
            is_known = self.has(f"{source}/{each.dataset}", each.key)
            if not is_known and not self._is_named(each.payload, self._kinds - MEDIA):
                is_doubtful = self._is_named(each.payload, self._kinds & MEDIA)
                yield replace(each, payload="") if is_doubtful else each


def erased_of(ws: Workspace, organisation: str) -> Erased:
    """Return who of an organisation was erased, as of now.

    Raises ConfigurationError when there are tombstones and not the key that they were made with:
    then nobody could tell, and nothing may come in.
    """
    stones, names = ws.ledger.tombstones.digests(organisation)
    if not stones:
        return Erased(organisation)
    if ws.tombstone_key is None:
        raise _other_key(organisation)
    key = ws.tombstone_key.read()
    if names != {key_name(key)}:
        raise _other_key(organisation)
    return Erased(organisation, key, stones)


def refusals(
    ws: Workspace, organisation: str, erased: Erased, media: Sequence[tuple[object, object]]
) -> list[list[ConsentRecord]]:
    """Return, for each pair of e-mail and phone, what an erased holder of one of them refused."""
    if not erased:
        return [[] for _ in media]
    keys = [erased.refusal_keys(email, phone) for email, phone in media]
    wanted: Collection[str] = {key for some in keys for key in some}
    if not wanted:
        return [[] for _ in media]
    said = ws.ledger.consents.of(organisation, wanted)
    return [[record for key in some for record in said.get(key, ())] for some in keys]


def _other_key(organisation: str) -> ConfigurationError:
    return ConfigurationError(
        f"People of {organisation} were erased, and the key of their tombstones is another one.",
        not_done="Nothing was read or sent: an erased person could come back.",
        remedy=(
            "Put `tombstone.key` back into CRM_PIPELINE_HOME from a backup, or name its file in"
            " CRM_PIPELINE_TOMBSTONE_KEY_FILE."
        ),
    )
