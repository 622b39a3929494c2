"""What one event of the inbox asks for: a record to land, one to read, a pull, or nothing."""

from dataclasses import dataclass

from crm_pipeline.core.ports import DecodedPage, Page, SourceApi
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.loke.events import read_event
from crm_pipeline.store.ledger import InboxRow
from crm_pipeline.sync.binding import SourceBinding

#: The receiver was away for longer than vendors try again: events may be lost.
CATCH_UP = "catch-up"
#: Datasets of which the source cannot be asked for one record.
_NEVER_READ_ALONE = frozenset({("loke", "payments"), ("loke", "list_members")})
#: Events that name a record and tell nothing of it, by the dataset that they are about.
_NAMING = {"order": "orders"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an event is about. ``page`` holds the whole record; None: it has to be read."""

    source: str
    dataset: str
    source_id: str
    page: Page | None = None

    @property
    def can_read(self) -> bool:
        """Whether the source can be asked for the record."""
        return (self.source, self.dataset) not in _NEVER_READ_ALONE


class Settled(Exception):  # noqa: N818  a way out, not an error
    """The event needs no record: it is done, or it cannot be used."""

    def __init__(self, reason: str, *, is_failed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_failed = is_failed


def read_told(row: InboxRow, source: SourceBinding | None) -> Told:
    """Return what an event is about. Raises Settled when there is nothing to land.

    An event that nobody knows is set aside, so that it can be tried again after an upgrade.
    """
    if source is None:
        raise Settled("not_wanted")
    told = _read_loke(row) if row.source == "loke" else _read_named(row, source)
    if not told.dataset:
        raise Settled("unknown_event", is_failed=True)
    if told.dataset not in source.datasets:
        raise Settled("not_wanted")
    return told


def decode_told(api: SourceApi, told: Told, page: Page) -> DecodedPage:
    """Return the record that an event carries. Raises Settled when it cannot be used."""
    try:
        decoded = api.decode(told.dataset, page)
    except MalformedAnswerError:
        raise Settled("bad_payload", is_failed=True) from None
    if decoded.rejects or not decoded.rows.num_rows:
        raise Settled("bad_payload", is_failed=True)
    return decoded


def _read_loke(row: InboxRow) -> Told:
    try:
        event = read_event(row.body)
    except MalformedAnswerError:
        raise Settled("bad_payload", is_failed=True) from None
    return Told(
        source=row.source, dataset=event.dataset, source_id=event.source_id, page=event.page
    )


def _read_named(row: InboxRow, source: SourceBinding) -> Told:
    dataset = source.spec.hook_events.get(row.event) or _NAMING.get(row.event, "")
    if dataset and not row.entity_id:
        raise Settled("bad_payload", is_failed=True)
    return Told(source=row.source, dataset=dataset, source_id=row.entity_id)
