"""One organisation's contacts, as the engine asks for them."""

from collections.abc import Iterator, Sequence

from crm_pipeline.core.ports import ConflictRule, ObjectKind
from crm_pipeline.core.records import Change, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import CONTACTS_PATH
from crm_pipeline.destinations.crm_com.calls import OLDEST_FIRST, Calls, Tally
from crm_pipeline.destinations.crm_com.contacts.fields import CONTACT, FIELDS
from crm_pipeline.destinations.crm_com.contacts.reading import (
    OwnCodes,
    read_contact,
    read_linked,
    read_own,
)
from crm_pipeline.destinations.crm_com.contacts.writing import ContactWriter

CONTACTS = ObjectKind(
    name=CONTACT,
    table="desired/contacts",
    title="Contacts",
    fields=FIELDS,
    calls_for={"create": 1, "update": 1, "archive": 1},
)


class Contacts:
    """Writes and reads contacts. Thread-safe."""

    def __init__(self, calls: Calls, *, conflict: ConflictRule, own: OwnCodes) -> None:
        self._calls = calls
        self._own = own
        self._writer = ContactWriter(calls, conflict=conflict, own=own)

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Write each contact once."""
        return [self._writer.write(change) for change in changes]

    def find(self, key: str, crm_id: str | None) -> RemoteObject | None:
        """Read a contact by its CRM id or code.

        A contact that was linked keeps its own code: it is reached by its CRM id only.
        """
        content = self._calls.contact(crm_id or key, Tally())
        return read_linked(content, key=key) if crm_id else read_own(content, key=key)

    def read_all(self) -> Iterator[Sequence[RemoteObject]]:
        """Read every contact, oldest first."""
        for content in self._calls.pages(CONTACTS_PATH, OLDEST_FIRST):
            read = (read_contact(each, own=self._own) for each in content)
            yield [each for each in read if each is not None]
