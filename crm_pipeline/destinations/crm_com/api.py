"""One organisation's live connection to CRM.COM.

Here: what the engine calls. Not here: one change (``writing``), the calls themselves (``calls``).
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Change, Finding, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import CONTACTS_PATH, KEY_MODES, KEY_PREFIX
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.catalogue import CONTACT, FIELDS, custom_key
from crm_pipeline.destinations.crm_com.reading import read_contact, read_linked, read_own
from crm_pipeline.destinations.crm_com.writing import ContactWriter
from crm_pipeline.errors import CrmPipelineError, SourceUnstableError
from crm_pipeline.http import ApiClient, ApiKey, Seams

#: Ids remembered while a list is read: rows shift by a few places at most, never by thousands.
_REMEMBERED = 20_000

#: Pages in a row that may hold nothing new before the list is taken to go in circles.
_MOST_STALE_PAGES = 3

_OLDEST_FIRST = {"sort": "CREATED_DATE", "order": "ASC"}


class CrmComApi:
    """Writes and reads one organisation's contacts. Thread-safe.

    Options: ``key_prefix`` (how codes of ours start).
    """

    def __init__(self, connection: DestinationConnection, *, seams: Seams | None = None) -> None:
        self._api_key = connection.api_key
        self._key_prefix = connection.options.get("key_prefix", KEY_PREFIX)
        self._client = ApiClient(
            connection.base_url,
            waits=connection.waits,
            credentials=ApiKey("api_key", connection.api_key),
            refused_statuses=frozenset({401, 403}),
            connections=connection.limits.concurrency + 2,
            seams=seams,
        )
        self._calls = Calls(self._client)
        self._writer = ContactWriter(
            self._calls, conflict=connection.conflict, key_prefix=self._key_prefix
        )

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Try each change once. Raises only what stops everything, such as a refused key."""
        for change in changes:
            _check_kind(change.object_kind)
        return [self._writer.write(change) for change in changes]

    def find(self, object_kind: str, key: str, crm_id: str | None = None) -> RemoteObject | None:
        """Read one of our contacts by its CRM id or code, or None when CRM.COM has none.

        A contact that was linked keeps its own code: it is reached by its CRM id only.
        """
        _check_kind(object_kind)
        content = self._calls.contact(crm_id or key, Tally())
        return read_linked(content, key=key) if crm_id else read_own(content, key=key)

    def read_all(self, object_kind: str) -> Iterator[Sequence[RemoteObject]]:
        """Read every contact, oldest first, each once."""
        _check_kind(object_kind)
        seen: OrderedDict[str, None] = OrderedDict()
        stale_pages = 0
        for content in self._calls.pages(CONTACTS_PATH, _OLDEST_FIRST):
            read = (read_contact(each, key_prefix=self._key_prefix) for each in content)
            fresh = [each for each in read if each is not None and _is_new(each.crm_id, seen)]
            stale_pages = 0 if fresh else stale_pages + 1
            if stale_pages == _MOST_STALE_PAGES:
                raise SourceUnstableError(
                    "CRM.COM's list of contacts goes in a circle.",
                    not_done="The rest of it was not read.",
                    remedy="Run again; if it stays, ask the vendor.",
                )
            if fresh:
                yield fresh

    def check(self) -> Sequence[Finding]:
        """Prove the key, then the set-up: every custom field that we write must exist."""
        try:
            self._calls.contacts_with(Tally())
            known = self._known_custom_fields()
        except CrmPipelineError as error:
            return [Finding(check="key", is_ok=False, message=error.happened, remedy=error.remedy)]
        readable = Finding(
            check="key",
            is_ok=True,
            message=f"CRM.COM accepts the key; it opens {self._mode()} data.",
        )
        return [readable, *_custom_field_findings(known)]

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _known_custom_fields(self) -> frozenset[str]:
        pages = self._calls.pages("custom_fields", {"entity": "CONTACTS"})
        return frozenset(
            str(entry.get("key")) for page in pages for entry in page if isinstance(entry, dict)
        )

    def _mode(self) -> str:
        """Return which data the key opens, as far as its beginning tells."""
        secret = self._api_key()
        modes = (mode for start, mode in KEY_MODES.items() if secret.startswith(start))
        return next(modes, "test or live (the key does not tell)")


def _custom_field_findings(known: frozenset[str]) -> Sequence[Finding]:
    wanted = [key for key in map(custom_key, FIELDS) if key is not None]
    missing = [key for key in wanted if key not in known]
    if not missing:
        return [
            Finding(
                check="custom_fields",
                is_ok=True,
                message=f"All {len(wanted)} custom fields of contacts exist.",
            )
        ]
    return [
        Finding(
            check=f"custom_field {key}",
            is_ok=False,
            message=f"CRM.COM has no custom field `{key}` for contacts; it refuses contacts that"
            " carry it.",
            remedy=f"Add a text custom field with the key `{key}` for contacts in CRM.COM's"
            " settings, or leave the field out of the mapping.",
        )
        for key in missing
    ]


def _is_new(crm_id: str, seen: OrderedDict[str, None]) -> bool:
    """Note an id and say whether it is new among the last ones."""
    if crm_id in seen:
        return False
    seen[crm_id] = None
    if len(seen) > _REMEMBERED:
        seen.popitem(last=False)
    return True


def _check_kind(object_kind: str) -> None:
    if object_kind != CONTACT:
        raise ValueError(f"CRM.COM has no objects of kind {object_kind!r} here")
