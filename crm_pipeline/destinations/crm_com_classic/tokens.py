"""Tokens of the Web API: got with a key or a user, renewed before they end, released at the end.

Tokens from before release 12 end after an hour without use; later ones are JWTs that end two hours
after they were made. Source: ``crmcom.md`` 2.2. Not here: the calls that carry them (``calls``).
"""

import base64
import binascii
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from crm_pipeline.destinations.crm_com_classic.assumptions import (
    ABSOLUTE_LIFE_SECONDS,
    IDLE_LIFE_SECONDS,
    LONGEST_IDLE_TOKEN,
)
from crm_pipeline.destinations.crm_com_classic.envelope import read_envelope, shown_code
from crm_pipeline.errors import (
    AnswerLostError,
    BugError,
    CredentialsRefusedError,
    CrmPipelineError,
    UnreachableError,
)
from crm_pipeline.http import Answer, ApiClient, Seams
from crm_pipeline.http.credentials import header_safe

#: A token is renewed when this share of its life is over.
_USED_SHARE = 0.8


class Login(Protocol):
    """One way to get a token."""

    def ask(self, client: ApiClient) -> Answer:
        """Ask for a token; the answer may be a refusal."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebApiKey:
    """The way of systems: a key as the user name of HTTP Basic, with an empty password."""

    key: Callable[[], str] = field(repr=False)
    unit: str | None = None

    def ask(self, client: ApiClient) -> Answer:
        """Ask with the key of this moment."""
        pair = f"{header_safe(self.key(), 'web API key')}:".encode("ascii")
        return client.send(
            "POST",
            "/authentication/web_api_key/token",
            json={"unit": self.unit} if self.unit else {},
            headers={"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"},
            is_repeatable=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLogin:
    """The way of people and points of sale: a user of an organisation, perhaps at a unit."""

    username: Callable[[], str] = field(repr=False)
    password: Callable[[], str] = field(repr=False)
    organisation: str
    unit: str | None = None

    def ask(self, client: ApiClient) -> Answer:
        """Ask with the user of this moment."""
        body = {
            "username": self.username(),
            "password": self.password(),
            "organisation": self.organisation,
        }
        if self.unit:
            body["unit"] = self.unit
        return client.send("POST", "/authentication/token", json=body, is_repeatable=True)


class _TokenData(msgspec.Struct, frozen=True):
    token: str


@dataclass(slots=True)
class _Token:
    value: str
    life_seconds: float
    is_idle: bool
    since: float


class TokenKeeper:
    """One token for all threads of a client. ``release`` ends it and everything after it."""

    def __init__(self, client: ApiClient, login: Login, seams: Seams) -> None:
        self._client = client
        self._login = login
        self._monotonic = seams.monotonic
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._is_released = False

    def value(self) -> str:
        """Return a token that is not about to end. Raises CredentialsRefusedError for none."""
        with self._lock:
            self._require_open()
            now = self._monotonic()
            token = self._token
            if token is None or now - token.since >= _USED_SHARE * token.life_seconds:
                token = self._token = self._fetch()
            elif token.is_idle:
                token.since = now
            return token.value

    def renew(self, refused: str) -> str:
        """Return another token than the refused one, got once for all threads that hold it."""
        with self._lock:
            self._require_open()
            if self._token is None or self._token.value == refused:
                self._token = self._fetch()
            return self._token.value

    def release(self) -> None:
        """End the token at CRM.COM, as far as it can be reached."""
        with self._lock:
            token, self._token = self._token, None
            self._is_released = True
        if token is None:
            return
        # A token that cannot be released ends by itself.
        with contextlib.suppress(CrmPipelineError):
            self._client.send(
                "POST",
                "/authentication/token/release",
                json={"token": token.value},
                is_repeatable=True,
                attempts=1,
            )

    def _require_open(self) -> None:
        if self._is_released:
            raise BugError(
                "The client of the Web API is closed: it has no token any more.",
                not_done="Nothing was sent.",
            )

    def _fetch(self) -> _Token:
        asked_at = self._monotonic()
        try:
            answer = self._login.ask(self._client)
        except AnswerLostError as error:
            # The call that needs the token was not sent, so its effect is not unknown.
            raise UnreachableError(
                error.happened, not_done="No token was got, so nothing was sent."
            ) from None
        value = _token_in(answer)
        is_idle = len(value) <= LONGEST_IDLE_TOKEN
        life = IDLE_LIFE_SECONDS if is_idle else absolute_life_seconds(value)
        return _Token(value, life, is_idle, asked_at)


def absolute_life_seconds(token: str) -> float:
    """Return how long a JWT lives by its own account; times in it come as texts or numbers.

    >>> absolute_life_seconds("no.token")
    7200.0
    """
    claims = _claims(token)
    try:
        life = float(claims["exp"]) - float(claims["iat"])
    except (KeyError, TypeError, ValueError):
        return ABSOLUTE_LIFE_SECONDS
    return life if 0 < life < float("inf") else ABSOLUTE_LIFE_SECONDS


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        raw = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_")
        claims = msgspec.json.decode(raw)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _token_in(answer: Answer) -> str:
    envelope = read_envelope(answer)
    if envelope is None:
        if answer.status in (401, 403):
            raise _no_token(answer, f"status {answer.status}")
        raise answer.malformed("is no envelope of the Web API")
    if not envelope.is_ok:
        raise _no_token(answer, shown_code(envelope.status.code))
    try:
        value = msgspec.json.decode(envelope.data, type=_TokenData).token
    except msgspec.DecodeError:
        value = ""
    if not value:
        raise answer.malformed("holds no token")
    return value


def _no_token(answer: Answer, told: str) -> CredentialsRefusedError:
    return CredentialsRefusedError(
        f"{answer.call}: CRM.COM gave no token ({told}).",
        not_done="Nothing was read or written.",
        remedy="Check the web API key (or the user and password), the organisation and the unit,"
        " then run `crm-pipeline doctor`.",
    )
