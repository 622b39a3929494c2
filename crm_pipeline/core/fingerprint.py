"""The name of an object's content: equal fields, equal fingerprint, on every machine."""

from hashlib import blake2b

import msgspec

from crm_pipeline.core.records import Fields

_ENCODER = msgspec.json.Encoder(order="sorted")
_DIGEST_BYTES = 16


def canonical_json(fields: Fields) -> str:
    """Return the one JSON text of an object: sorted names, no spaces, no escapes but the needed.

    >>> canonical_json({"b": True, "a": "é"})
    '{"a":"é","b":true}'
    """
    return _ENCODER.encode(fields).decode()


def fingerprint(fields: Fields) -> str:
    """Return the BLAKE2b digest (16 bytes, hex) of an object's canonical JSON.

    >>> fingerprint({"a": "1"}) == fingerprint(dict(a="1"))
    True
    """
    return fingerprint_of_json(canonical_json(fields))


def fingerprint_of_json(text: str) -> str:
    """Return the fingerprint of an object whose canonical JSON is at hand already."""
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
