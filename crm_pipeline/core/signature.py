"""What proves that a webhook comes from whom it should: a signature, or an unguessable address.

Here: the comparison, in constant time, over the bytes as they came. Not here: where secrets are,
and what is answered. Source of LOKE's rule: its page on webhooks (vendors file 1.14).
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

_LOKE = re.compile(r"sha256=([0-9a-f]{64})")


def loke_signature(body: bytes, secret: str) -> str:
    """Return the value of ``X-Event-Signature`` for a body.

    >>> loke_signature(b'{"event":"customer.updated"}', "s")[:14]
    'sha256=db8f2a1'
    """
    return (
        "sha256="
        + hmac.new(secret.encode("utf-8", "surrogateescape"), body, hashlib.sha256).hexdigest()
    )


def is_loke_signed(body: bytes, headers: Sequence[str], secrets: Iterable[str]) -> bool:
    """Whether a body carries one signature, in LOKE's form, made with one of the secrets.

    ``headers`` are all values of ``X-Event-Signature``: none or two of them prove nothing. Every
    secret is tried, so that the time taken does not tell which one fits.
    """
    if len(headers) != 1:
        return False
    given = _LOKE.fullmatch(headers[0])
    if given is None:
        return False
    fits = [
        hmac.compare_digest(headers[0], loke_signature(body, secret))
        for secret in secrets
        if secret
    ]
    return any(fits)


def is_secret(given: str, secrets: Iterable[str]) -> bool:
    """Whether a text is one of the secrets; its length or first letters change no time.

    >>> is_secret("b", ["a", "b"]), is_secret("", [""]), is_secret("é", ["a"])
    (True, False, False)
    """
    digest = _digest(given)
    fits = [hmac.compare_digest(digest, _digest(secret)) for secret in secrets if secret]
    return any(fits)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
