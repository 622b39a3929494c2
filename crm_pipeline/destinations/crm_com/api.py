"""One organisation's live connection to CRM.COM.

Here: what the engine calls, and which kind of object answers. Not here: one change of a kind (its
folder), the calls themselves (``calls``).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Change, Finding, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import (
    KEY_PREFIX,
    SAMPLE_ID_FIELD,
    SOURCE_ID_FIELD,
)
from crm_pipeline.destinations.crm_com.calls import Calls
from crm_pipeline.destinations.crm_com.checking import Doctor
from crm_pipeline.destinations.crm_com.contacts.erasing import ContactEraser
from crm_pipeline.destinations.crm_com.contacts.fields import CONTACT
from crm_pipeline.destinations.crm_com.contacts.kind import Contacts
from crm_pipeline.destinations.crm_com.listing import each_once
from crm_pipeline.destinations.crm_com.memberships.fields import MEMBERSHIP
from crm_pipeline.destinations.crm_com.memberships.tags import Tags
from crm_pipeline.destinations.crm_com.memberships.writing import Memberships
from crm_pipeline.destinations.crm_com.products.fields import PRODUCT
from crm_pipeline.destinations.crm_com.products.writing import Products
from crm_pipeline.destinations.crm_com.purchases.fields import PURCHASE, REFUND
from crm_pipeline.destinations.crm_com.purchases.finding import Finder
from crm_pipeline.destinations.crm_com.purchases.refunding import Refunds
from crm_pipeline.destinations.crm_com.purchases.writing import Purchases
from crm_pipeline.destinations.crm_com.values import listed
from crm_pipeline.http import ApiClient, ApiKey, Seams


class Kind(Protocol):
    """What each kind of object can do."""

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Try each change once; one result a change, in the same order."""
        ...

    def find(self, key: str, crm_id: str | None) -> RemoteObject | None:
        """Read one of our objects, or None when CRM.COM has none."""
        ...

    def read_all(self) -> Iterator[Sequence[RemoteObject]]:
        """Read every object; the same one may come again. Raises ValueError if not listed."""
        ...


class CrmComApi:
    """Writes and reads one organisation's objects. Thread-safe.

    Options: ``key_prefix`` (how codes of ours start) and ``sample_key_prefix`` (how those of people
    start whom only sample orders made contacts), ``tags`` (ids or names of all tags that are ours:
    a JSON list, or one a line), ``custom_fields`` (a JSON list of the keys of the custom fields
    that are written), ``sends`` (the kinds that are sent, separated by commas).
    """

    def __init__(self, connection: DestinationConnection, *, seams: Seams | None = None) -> None:
        seams = seams or Seams()
        waits, options = connection.waits, connection.options
        key_prefix = options.get("key_prefix", KEY_PREFIX)
        own = {key_prefix: SOURCE_ID_FIELD}
        if sample_prefix := options.get("sample_key_prefix"):
            own[sample_prefix] = SAMPLE_ID_FIELD
        self._client = ApiClient(
            connection.base_url,
            waits=waits,
            credentials=ApiKey("api_key", connection.api_key),
            refused_statuses=frozenset({401, 403}),
            connections=connection.limits.concurrency + 2,
            seams=seams,
        )
        calls = Calls(self._client)
        finder = Finder(calls, connection.organisation)

        def settle() -> None:
            seams.sleep(waits.settle_seconds)

        tags = Tags(calls)
        ours = listed(options.get("tags"))
        self._eraser = ContactEraser(calls, tags, ours=ours, settle=settle)
        self._doctor = Doctor(calls, tags, connection.api_key, options)
        self._kinds: Mapping[str, Kind] = {
            PRODUCT: Products(calls, waits=waits, seams=seams),
            CONTACT: Contacts(calls, conflict=connection.conflict, own=own),
            MEMBERSHIP: Memberships(calls, tags, ours=ours),
            PURCHASE: Purchases(calls, finder, key_prefix=key_prefix, settle=settle),
            REFUND: Refunds(calls, finder, settle=settle),
        }

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Try each change once. Raises only what stops everything, such as a refused key."""
        if not changes:
            return []
        (object_kind,) = {change.object_kind for change in changes}
        return self._kind(object_kind).write(changes)

    def find(self, object_kind: str, key: str, crm_id: str | None = None) -> RemoteObject | None:
        """Read one of our objects, or None when CRM.COM has none.

        Raises what makes the answer doubtful: "none" is only said when CRM.COM says so.
        """
        return self._kind(object_kind).find(key, crm_id)

    def read_all(self, object_kind: str) -> Iterator[Sequence[RemoteObject]]:
        """Read every object of a kind, oldest first, each once."""
        return each_once(self._kind(object_kind).read_all(), f"{object_kind}s")

    def erase(self, key: str, crm_id: str | None) -> bool:
        """Make one contact anonymous and read it back; False when there is none.

        CRM.COM has no call that deletes a contact. Its code, which is our key, stays.
        """
        return self._eraser.erase(key, crm_id)

    def check(self) -> Sequence[Finding]:
        """Prove the key, then the set-up: whatever we write must exist."""
        return self._doctor.check()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _kind(self, object_kind: str) -> Kind:
        found = self._kinds.get(object_kind)
        if found is None:
            raise ValueError(f"CRM.COM has no objects of kind {object_kind!r} here")
        return found
