"""A person as our stores know them, and the kinds of identifiers that name one.

Pure, and light to load: the ledger needs it in every command. How an identifier is brought into one
form and digested is in ``core.tombstones``. Source: ``FAULTS.md`` C10, I11.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

#: What an identifier is. One of a record is named like its dataset.
CONTACT, CRM_ID, EMAIL, PHONE = "contact", "crm_id", "email", "phone"
CUSTOMER, PAYMENT, LOKE_ORDER = "loke/customers", "loke/payments", "loke/orders"
MEMBER, SAMPLE, PERSON = "loke/list_members", "sopost/orders", "sopost/person"
CRM_ORDER = "crm_com/orders"
#: Who ordered samples and was given no id: named by a digest of the e-mail. Gets no tombstone, for
#: a later order with the same e-mail may be somebody new's.
MAIL_PERSON = "sopost/mail_person"
#: Kinds of which a later account with the same value may be somebody new, or the person again.
MEDIA = frozenset({EMAIL, PHONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One person as our stores know them; personal data, kept no longer than an erasure is open.

    ``keys`` are their contacts' keys, ``ids`` the ids of their records by kind of identifier,
    ``objects`` our keys by kind of object, ``crm_ids`` the CRMs' ids of their contacts by
    destination and key. ``emails`` and ``phones`` are in normal form and nobody else's;
    ``shared_media`` counts those that others have too.
    """

    keys: frozenset[str] = frozenset()
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    objects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    crm_ids: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    emails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    shared_media: int = 0

    def __repr__(self) -> str:
        """Show counts, never an identifier."""
        return f"Subject({len(self.keys)} keys, {sum(map(len, self.ids.values()))} ids)"

    @property
    def is_empty(self) -> bool:
        """Whether nothing of anybody was found."""
        return not self.keys and not any(self.ids.values())

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Give kind and value of everything that gets a tombstone."""
        yield from ((CONTACT, key) for key in sorted(self.keys))
        for kind, values in sorted(self.ids.items()):
            if kind == MAIL_PERSON:
                continue
            yield from ((kind, value) for value in sorted(values))
        for contacts in self.crm_ids.values():
            yield from ((CRM_ID, crm_id) for crm_id in sorted(set(contacts.values())))
        yield from ((EMAIL, email) for email in sorted(self.emails))
        yield from ((PHONE, phone) for phone in sorted(self.phones))

    def names(self) -> frozenset[str]:
        """Return every id and key as the ledger may name a record by it."""
        return frozenset().union(self.keys, *self.ids.values(), *self.objects.values())
