"""Tokens: how they look, whom they let in, and when they end.

Before release 12 a token is a short text that ends after an hour without use; from then on it is
a JWT that ends two hours after it was made, used or not. Times in it are strings, as was seen.
"""

import base64
import dataclasses
import datetime as dt
import secrets
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.classic.envelope import INVALID_TOKEN, RefusedError

Mode = Literal["absolute", "idle"]

IDLE_SECONDS = 3600
ABSOLUTE_SECONDS = 7200


@dataclasses.dataclass(slots=True)
class _Token:
    key: str
    mode: Mode
    issued: float
    used: float


class TokenStore:
    """The tokens in force. ``key`` is the API key whose data a token opens."""

    def __init__(self, clock: Callable[[], dt.datetime]) -> None:
        """Start without tokens."""
        self._clock = clock
        self._ahead_seconds = 0.0
        self._tokens: dict[str, _Token] = {}

    def __len__(self) -> int:
        """Count the tokens that were not released."""
        return len(self._tokens)

    def issue(self, key: str, *, user: str, organisation: str, unit: str, mode: Mode) -> str:
        """Make a token."""
        now = self._now()
        value = secrets.token_hex(16).upper()
        if mode == "absolute":
            value = _jwt(
                {
                    "usr": user,
                    "org": organisation,
                    "oun": unit,
                    "iat": str(int(now)),
                    "exp": str(int(now) + ABSOLUTE_SECONDS),
                    "jti": value,
                }
            )
        self._tokens[value] = _Token(key, mode, now, now)
        return value

    def peek(self, value: object) -> str:
        """Return the key that a token stands for, without counting as use."""
        token = self._tokens.get(value) if isinstance(value, str) else None
        if token is None:
            raise KeyError("no such token")
        return token.key

    def opens(self, value: object) -> str:
        """Return the key that a token stands for. Raises RefusedError for none in force."""
        token = self._tokens.get(value) if isinstance(value, str) else None
        now = self._now()
        if token is None or not _is_alive(token, now):
            raise RefusedError(INVALID_TOKEN, "The token is missing or not valid.", status=401)
        token.used = now
        return token.key

    def release(self, value: str) -> None:
        """End a token."""
        self._tokens.pop(value, None)

    def advance(self, seconds: float) -> None:
        """Let time pass for tokens only."""
        self._ahead_seconds += seconds

    def expire_all(self) -> None:
        """End every token."""
        self._tokens.clear()

    def _now(self) -> float:
        return self._clock().timestamp() + self._ahead_seconds


def _is_alive(token: _Token, now: float) -> bool:
    if token.mode == "idle":
        return now - token.used < IDLE_SECONDS
    return now - token.issued < ABSOLUTE_SECONDS


def _jwt(claims: dict[str, Any]) -> str:
    """Return claims in the form of a JWT; nobody checks its signature."""
    parts = (msgspec.json.encode({"alg": "HS256", "typ": "JWT"}), msgspec.json.encode(claims))
    texts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return ".".join([*texts, secrets.token_urlsafe(24)])
