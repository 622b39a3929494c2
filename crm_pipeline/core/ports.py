"""What a source and a destination must offer: the contracts behind one file each.

A new source or destination exports one ``SourceSpec`` or ``DestinationSpec``; discovery, assets,
commands, documentation tables and the conformance suites follow from it.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

from crm_pipeline.core.records import (
    Change,
    Fields,
    Finding,
    Limits,
    Progress,
    Reject,
    RemoteObject,
    Waits,
    WriteResult,
)

Clock = Callable[[], dt.datetime]
ReportProgress = Callable[[Progress], None]
#: Looks a secret up at the moment of use. The value is never stored or printed.
Secret = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page as the source sent it. ``next_link`` is absolute and of the source's own host."""

    body: bytes
    next_link: str | None
    server_date: dt.datetime | None
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedPage:
    """One page as typed columns, plus the records that could not be typed.

    ``rows`` has the dataset's landed columns without the landing metadata; ``row_count`` counts
    records on the page, rejects included.
    """

    rows: pa.RecordBatch
    rejects: tuple[Reject, ...]
    row_count: int


class SourceApi(Protocol):
    """One organisation's live connection to a source."""

    def first_page(self, dataset: str) -> Page:
        """Read the first page of a dataset, newest-updated first."""
        ...

    def next_page(self, link: str) -> Page:
        """Follow a next link unchanged."""
        ...

    def decode(self, dataset: str, page: Page) -> DecodedPage:
        """Turn one page into typed columns. Raises MalformedAnswerError for a whole bad page."""
        ...

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        """Read one record by id, or None when the source does not know it."""
        ...

    def check(self) -> Sequence[Finding]:
        """Prove credentials and reach, one finding for each step."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConnection:
    """What a source needs to connect for one organisation."""

    organisation: str
    base_url: str
    token_url: str
    organisation_id: str
    client_id: Secret
    client_secret: Secret
    waits: Waits


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """One documented column: name, type as text, meaning, and the source field it comes from."""

    name: str
    type: str
    description: str
    source_field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """One dataset of a source, with the columns that ``decode`` gives."""

    name: str
    description: str
    columns: tuple[ColumnSpec, ...]
    schema: pa.Schema
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A source: its name, datasets, and how to connect."""

    name: str
    title: str
    documentation_url: str
    datasets: Mapping[str, DatasetSpec]
    connect: Callable[[SourceConnection], SourceApi]


ConflictRule = Literal["withhold", "link", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationConnection:
    """What a destination needs to connect for one organisation.

    ``conflict`` is what to do when a medium (e-mail, phone) already belongs to a contact that is
    not ours: write without it and flag it, link to that contact, or reject the record.
    """

    organisation: str
    base_url: str
    api_key: Secret
    limits: Limits
    waits: Waits
    conflict: ConflictRule
    options: Mapping[str, str]


class DestinationApi(Protocol):
    """One organisation's live connection to a CRM. Calls are thread-safe."""

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Try each change once; one result a change, in the same order. Never raises for a row."""
        ...

    def find(self, object_kind: str, key: str, crm_id: str | None = None) -> RemoteObject | None:
        """Read one of our objects, or None when the CRM has none.

        By ``crm_id`` where it is known: an object that was linked does not carry our key.
        """
        ...

    def read_all(self, object_kind: str) -> Iterator[Sequence[RemoteObject]]:
        """Read every object of a kind, page by page, ours and foreign."""
        ...

    def check(self) -> Sequence[Finding]:
        """Prove credentials, reach and set-up (custom fields), one finding for each step."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One field that a destination can hold."""

    name: str
    type: Literal["text", "flag", "date", "custom"]
    description: str
    is_medium: bool = False
    is_opt_out: bool = False
    max_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSpec:
    """A destination: its name, limits, field catalogue, and how to connect.

    ``batch_size`` changes go into one ``write``. ``calls_for`` gives the calls that one change of
    a kind costs. ``is_same`` tells whether a read-back value equals the one written.
    """

    name: str
    title: str
    documentation_url: str
    object_kinds: tuple[str, ...]
    fields: Mapping[str, FieldSpec]
    batch_size: int
    calls_for: Mapping[str, int]
    default_limits: Limits
    connect: Callable[[DestinationConnection], DestinationApi]
    is_same: Callable[[str, object, object], bool]


def visible_fields(fields: Fields, withheld: Sequence[str]) -> Fields:
    """Return ``fields`` without those in ``withheld``."""
    hidden = set(withheld)
    return {name: value for name, value in fields.items() if name not in hidden}
