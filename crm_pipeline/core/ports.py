"""What a source and a destination must offer: the contracts behind one file each.

A new source or destination exports one ``SourceSpec`` or ``DestinationSpec``; discovery, assets,
commands, documentation tables and the conformance suites follow from it.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

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
class ListInfo:
    """One list of people as the source describes it; ``member_count`` is its own figure."""

    id: str
    name: str
    member_count: int | None


class ListsApi(SourceApi, Protocol):
    """A source whose ``lists`` datasets are read list by list."""

    def lists(self) -> Sequence[ListInfo]:
        """Read every list of the organisation, all pages."""
        ...

    def members_page(self, list_id: str) -> Page:
        """Read the first page of a list's members; ``decode`` adds the column ``list_id``."""
        ...


@runtime_checkable
class PeopleApi(Protocol):
    """A source that can look single people up."""

    def find(self, *, email: str = "", phone: str = "") -> DecodedPage:
        """Read the people with exactly one e-mail address, or with a phone number."""
        ...

    def memberships(self, customer_id: str) -> Sequence[ListInfo]:
        """Read the lists that one person is in."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One webhook subscription as the source tells it; ``ref`` is its name there."""

    ref: str
    url: str
    events: tuple[str, ...]


class SubscribingApi(Protocol):
    """A source that sends webhooks to an address that we tell it."""

    def subscriptions(self) -> Sequence[Subscription]:
        """Read what is subscribed, ours and others'."""
        ...

    def subscribe(self, ref: str, url: str, events: Sequence[str], secret: Secret | None) -> None:
        """Make or replace one subscription; safe to repeat."""
        ...

    def unsubscribe(self, ref: str) -> bool:
        """Remove one subscription; False when there was none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConnection:
    """What a source needs to connect for one organisation.

    ``secrets`` go by the names of their settings, such as ``client_secret``; ``options`` holds
    what is neither an address nor a secret, by the name of its setting.
    """

    organisation: str
    base_url: str
    waits: Waits
    token_url: str = ""
    organisation_id: str = ""
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """One documented column: name, type as text, meaning, and the source field it comes from."""

    name: str
    type: str
    description: str
    source_field: str = ""


#: How a dataset is read. ``newest_first``: pages, most recently updated first, from a watermark.
#: ``whole``: every page each time; what changed is landed, nobody is taken for gone. ``lists``:
#: the members of each opted-in list, whole, additions and removals derived. ``keyed``: there is no
#: list; webhooks name the records, and the unfinished ones are read again.
Reading = Literal["newest_first", "whole", "lists", "keyed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """One dataset of a source, with the columns that ``decode`` gives.

    ``version_column`` names the text column that orders the versions of a record.
    ``final_states`` are the values of the column ``status`` after which a ``keyed`` record is not
    read again.
    """

    name: str
    description: str
    columns: tuple[ColumnSpec, ...]
    schema: pa.Schema
    page_size: int
    version_column: str = "updated_at"
    reading: Reading = "newest_first"
    final_states: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A source: its name, datasets, and how to connect.

    ``needs`` names the settings that an organisation's file must give. ``hook_events`` are the
    webhook events that can be subscribed to, each with the dataset that it is about.
    """

    name: str
    title: str
    documentation_url: str
    datasets: Mapping[str, DatasetSpec]
    connect: Callable[[SourceConnection], SourceApi]
    needs: frozenset[str] = frozenset({"base_url"})
    hook_events: Mapping[str, str] = field(default_factory=dict)


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


@runtime_checkable
class ErasingApi(Protocol):
    """A CRM in which a person can be erased, or made anonymous."""

    def erase(self, key: str, crm_id: str | None) -> bool:
        """Take everything personal out of one contact and prove it by reading back.

        Without ``crm_id`` the contact is looked up by our key. False: the CRM has no such contact.
        Raises TryLaterError when that cannot be done now, DataError when the CRM does not obey.
        """
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
class ObjectKind:
    """One kind of object that a destination holds.

    ``table`` is the lake table of the desired ones. ``calls_for`` gives the calls that one change
    of a kind costs, ``batch_size`` how many changes go into one ``write``. An ``is_immutable`` one
    can be created only: it is compared by key. ``references`` maps a field that holds a key of
    ours to the kind of the object that it names, which must be in the CRM first.
    ``is_listed`` says whether ``read_all`` can give them, ``is_readable`` whether ``find`` can.
    """

    name: str
    table: str
    title: str
    fields: Mapping[str, FieldSpec]
    calls_for: Mapping[str, int]
    batch_size: int = 1
    is_immutable: bool = False
    is_listed: bool = True
    is_readable: bool = True
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSpec:
    """A destination: its name, limits, kinds of objects, and how to connect.

    ``kinds`` come in the order in which they must be sent. ``is_same`` tells whether a value of a
    field that was read back equals the one written.
    """

    name: str
    title: str
    documentation_url: str
    kinds: tuple[ObjectKind, ...]
    default_limits: Limits
    connect: Callable[[DestinationConnection], DestinationApi]
    is_same: Callable[[str, object, object], bool]

    def kind(self, name: str) -> ObjectKind:
        """Return one kind. Raises KeyError for one that the destination does not hold."""
        found = {each.name: each for each in self.kinds}
        return found[name]


def visible_fields(fields: Fields, withheld: Sequence[str]) -> Fields:
    """Return ``fields`` without those in ``withheld``."""
    hidden = set(withheld)
    return {name: value for name, value in fields.items() if name not in hidden}
