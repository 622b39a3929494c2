"""Who may carry an e-mail or a phone, when several of our contacts want the same.

A CRM lets one contact own a medium, while families share a phone and people two accounts. The
rule: the smallest key owns it. Keys hold the source's ids, which grow with time, so the oldest
customer wins, whatever the order of arrival. The others are written without the medium and say so.
Pure. Source: ``FAULTS.md`` D07, D13 and D15.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from crm_pipeline.core.diff import MEDIA_FIELDS
from crm_pipeline.core.records import Fields

#: Every field that belongs to a medium.
MEDIUM_FIELD_NAMES = frozenset(name for names in MEDIA_FIELDS.values() for name in names)


def media_digests(fields: Fields) -> Mapping[str, str]:
    """Return the digest of each medium that ``fields`` carry, by medium.

    A digest is the MD5, in hex, of the medium's normal form: an index, not a protection.

    >>> sorted(media_digests({"email": "mina@example.com", "phone_country": "AUS"}))
    ['email']
    """
    texts = {medium: normal_form(medium, fields) for medium in MEDIA_FIELDS}
    return {medium: digest(text) for medium, text in texts.items() if text is not None}


def normal_form(medium: str, fields: Fields) -> str | None:
    """Return the text by which two contacts' media are compared, or None without a whole medium.

    >>> normal_form("phone", {"phone_country": "AUS", "phone_number": "400000001"})
    'AUS 400000001'
    """
    values = [fields.get(name) for name in MEDIA_FIELDS[medium]]
    if any(value is None for value in values):
        return None
    text = " ".join(str(value) for value in values)
    return text.casefold() if medium == "email" else text


def digest(text: str) -> str:
    """Return the index digest of a medium's normal form (MD5, 32 hex digits)."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def withheld_fields(contacts: Mapping[str, Fields]) -> Mapping[str, tuple[str, ...]]:
    """Return, for each key that must do without a medium, the names of its fields.

    ``contacts`` must hold every contact that carries one of the media in question.

    >>> shared = {"phone_country": "AUS", "phone_number": "400000001"}
    >>> withheld_fields({"loke:01A": shared, "loke:01B": shared})
    {'loke:01B': ('phone_country', 'phone_number')}
    """
    losers: dict[str, list[str]] = defaultdict(list)
    for medium, names in MEDIA_FIELDS.items():
        for members in _groups(contacts, medium):
            for key in sorted(members)[1:]:
                losers[key].extend(names)
    return {key: tuple(names) for key, names in losers.items()}


def _groups(contacts: Mapping[str, Fields], medium: str) -> Iterable[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, fields in contacts.items():
        text = normal_form(medium, fields)
        if text is not None:
            groups[text].append(key)
    return groups.values()
