"""OAuth 2 client credentials: one token for a client, shared by all its threads.

Here: fetching, keeping and renewing. Not here: what is called with the token.
Source: RFC 6749, sections 2.3.1 and 4.4.
"""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus, urlsplit

from crm_pipeline.core.records import Waits
from crm_pipeline.errors import (
    AnswerLostError,
    ConfigurationError,
    CredentialsRefusedError,
    UnreachableError,
)
from crm_pipeline.http.answer import Answer
from crm_pipeline.http.client import ApiClient
from crm_pipeline.http.credentials import header_safe
from crm_pipeline.http.seams import Seams

#: A token is renewed when this share of its life is over.
_USED_SHARE = 0.8

#: Token endpoints are slow: LOKE's own code had to raise its time-out to this.
_LEAST_TIMEOUT_SECONDS = 7.5

#: A token answer is small.
_BODY_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_at: float | None


class ClientCredentials:
    """Bearer tokens from a token endpoint, by HTTP Basic client authentication.

    Threads that need a token at the same time share one call.
    """

    def __init__(
        self,
        token_url: str,
        *,
        client_id: Callable[[], str],
        client_secret: Callable[[], str],
        waits: Waits,
        seams: Seams | None = None,
    ) -> None:
        self._seams = seams or Seams()
        self._client_id = client_id
        self._client_secret = client_secret
        self._path, base_url = _split_token_url(token_url)
        timeout_seconds = max(waits.timeout_seconds, _LEAST_TIMEOUT_SECONDS)
        self._client = ApiClient(
            base_url,
            waits=replace(waits, timeout_seconds=timeout_seconds),
            refused_statuses=frozenset(),
            connections=1,
            body_limit_bytes=_BODY_LIMIT_BYTES,
            seams=self._seams,
        )
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def header(self) -> tuple[str, str]:
        """Return the header with a token that is not due for renewal."""
        token = self._token
        if token is None or self._is_due(token):
            with self._lock:
                token = self._token
                if token is None or self._is_due(token):
                    token = self._token = self._fetch()
        return _header(token)

    def renew(self, refused: tuple[str, str] | None) -> bool:
        """Drop a token that was refused and get another, once for all threads that hold it."""
        with self._lock:
            token = self._token
            if token is None or _header(token) == refused:
                self._token = self._fetch()
        return True

    def close(self) -> None:
        """Close the connection to the token endpoint."""
        self._client.close()

    def _is_due(self, token: _Token) -> bool:
        return token.renew_at is not None and self._seams.monotonic() >= token.renew_at

    def _fetch(self) -> _Token:
        asked_at = self._seams.monotonic()
        answer = self._ask()
        if not answer.is_success:
            raise _refused(answer)
        content = answer.json()
        value = content.get("access_token") if isinstance(content, dict) else None
        if not isinstance(value, str) or not _is_header_safe(value):
            raise answer.malformed("holds no usable access token")
        return _Token(value, _renew_at(asked_at, content.get("expires_in")))

    def _ask(self) -> Answer:
        try:
            return self._client.send(
                "POST",
                self._path,
                form={"grant_type": "client_credentials"},
                headers={"Authorization": self._basic()},
                is_repeatable=True,
            )
        except AnswerLostError as error:
            # The call that needs the token was not sent, so its effect is not unknown.
            raise UnreachableError(
                error.happened, not_done="No token was got, so nothing was sent."
            ) from None

    def _basic(self) -> str:
        """Return the Basic header; both parts are form-encoded first, as the RFC asks."""
        client_id = header_safe(self._client_id(), "client id")
        client_secret = header_safe(self._client_secret(), "client secret")
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        return f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"


def _header(token: _Token) -> tuple[str, str]:
    return "Authorization", f"Bearer {token.value}"


def _is_header_safe(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


def _renew_at(asked_at: float, expires_in: Any) -> float | None:
    """Return when to renew, or None when the life is unknown and only a 401 will tell."""
    try:
        life_seconds = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return None
    if not 0 < life_seconds < float("inf"):
        return None
    return asked_at + _USED_SHARE * life_seconds


def _split_token_url(token_url: str) -> tuple[str, str]:
    """Return the path and the base of a token URL."""
    try:
        parts = urlsplit(token_url)
    except ValueError:
        raise _bad_token_url() from None
    if not parts.path or parts.query or parts.fragment:
        raise _bad_token_url()
    return parts.path, f"{parts.scheme}://{parts.netloc}"


def _bad_token_url() -> ConfigurationError:
    return ConfigurationError(
        "A token URL is not an address with a path and without a query.",
        not_done="Nothing was sent.",
        remedy="Put the vendor's token address into the organisation's file.",
    )


def _refused(answer: Answer) -> CredentialsRefusedError:
    return CredentialsRefusedError(
        f"{answer.call}: the token endpoint gave no token (status {answer.status}).",
        not_done="Nothing was read or written.",
        remedy="Check the client id and the client secret, put new ones in place, then run"
        " `crm-pipeline doctor`.",
    )
