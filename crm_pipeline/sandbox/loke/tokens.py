"""Tokens of the client-credentials grant: issued, checked on every call, expired, revoked.

Errors have the form of RFC 6749, section 5.2.
"""

import base64
import binascii
import datetime as dt
import random
import urllib.parse
from collections.abc import Callable

from crm_pipeline.sandbox.wire import Answer, Request, json_answer


class TokenDesk:
    """Issues tokens to one client."""

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        life_seconds: int,
        clock: Callable[[], dt.datetime],
        seed: int,
    ) -> None:
        """Know the client and the clock."""
        self.life_seconds = life_seconds
        self._client = (client_id, client_secret)
        self._clock = clock
        self._chance = random.Random(seed)
        self._expiry: dict[str, float] = {}
        self.issued = 0

    def issue(self, request: Request) -> Answer:
        """Answer ``POST /token``."""
        form = dict(urllib.parse.parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
        basic = request.header(b"authorization")
        given = _from_basic(basic) or (form.get("client_id", ""), form.get("client_secret", ""))
        if given != self._client:
            answer = _refusal("invalid_client", "Unknown client or wrong secret.", 401)
            answer.headers.append((b"www-authenticate", b'Basic realm="sandbox"'))
            return answer
        if "grant_type" not in form:
            return _refusal("invalid_request", "grant_type is missing.")
        if form["grant_type"] != "client_credentials":
            return _refusal("unsupported_grant_type", "Only client_credentials is offered.")
        return self._hand_out()

    def refusal_of(self, request: Request) -> str | None:
        """Say why the bearer token of a call is not good, None when it is."""
        scheme, _, token = request.header(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "Token missing"
        expiry = self._expiry.get(token)
        if expiry is None:
            return "Token invalid"
        if self._clock().timestamp() >= expiry:
            return "Token expired"
        return None

    def revoke(self, token: str) -> None:
        """End one token."""
        self._expiry.pop(token, None)

    def revoke_all(self) -> int:
        """End all tokens; returns how many there were."""
        count = len(self._expiry)
        self._expiry.clear()
        return count

    def _hand_out(self) -> Answer:
        now = self._clock().timestamp()
        self._expiry = {token: end for token, end in self._expiry.items() if end > now}
        token = f"sandbox.{self._chance.getrandbits(256):064x}"
        self._expiry[token] = now + self.life_seconds
        self.issued += 1
        answer = json_answer(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.life_seconds}
        )
        answer.headers += [(b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
        return answer


def _from_basic(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)


def _refusal(error: str, description: str, status: int = 400) -> Answer:
    answer = json_answer({"error": error, "error_description": description}, status)
    answer.headers.append((b"cache-control", b"no-store"))
    return answer
