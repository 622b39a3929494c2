"""What proves to a server who we are.

Here: the port, the plain API key, user and password. Not here: OAuth tokens (``tokens``).
"""

import base64
from collections.abc import Callable
from typing import Protocol

from crm_pipeline.errors import SecretMissingError


class Credentials(Protocol):
    """Gives the header that goes with every call. Safe to use from many threads."""

    def header(self) -> tuple[str, str] | None:
        """Return the header's name and value, or None when the call goes without."""
        ...

    def renew(self, refused: tuple[str, str] | None) -> bool:
        """Get something newer than the header that was refused; False when there is nothing."""
        ...


class NoCredentials:
    """A call that goes without credentials."""

    def header(self) -> None:
        """Return nothing."""

    def renew(self, refused: tuple[str, str] | None) -> bool:
        """There is nothing to renew."""
        return False


class ApiKey:
    """A fixed secret in a header of its own, looked up at each use so that it can be rotated."""

    def __init__(self, header_name: str, secret: Callable[[], str]) -> None:
        self._header_name = header_name
        self._secret = secret

    def header(self) -> tuple[str, str]:
        """Return the header with the secret of this moment."""
        return self._header_name, header_safe(self._secret(), "API key")

    def renew(self, refused: tuple[str, str] | None) -> bool:
        """Say whether the secret was rotated since the call was made."""
        return refused is not None and self.header() != refused


class Basic:
    """A user and a password for every call, looked up at each use so that they can be rotated.

    Source: RFC 7617, with UTF-8.
    """

    def __init__(self, user: Callable[[], str], password: Callable[[], str]) -> None:
        self._user = user
        self._password = password

    def header(self) -> tuple[str, str]:
        """Return the header of this moment. Raises SecretMissingError for unusable values."""
        user = _basic_part(self._user(), "user id")
        if ":" in user:
            raise _unusable("user id")
        password = _basic_part(self._password(), "password")
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        return "Authorization", f"Basic {encoded}"

    def renew(self, refused: tuple[str, str] | None) -> bool:
        """Say whether user or password was changed since the call was made."""
        return refused is not None and self.header() != refused


def _basic_part(secret: str, name: str) -> str:
    """Return a user or a password without the line end of its file."""
    value = secret.strip()
    if value and value.isprintable():
        return value
    raise _unusable(name)


def header_safe(secret: str, name: str) -> str:
    """Return a secret that may stand in a header. Raises SecretMissingError, without its value."""
    value = secret.strip()
    if value and value.isascii() and value.isprintable():
        return value
    raise _unusable(name)


def _unusable(name: str) -> SecretMissingError:
    return SecretMissingError(
        f"The {name} is empty or holds characters that no header can carry.",
        not_done="Nothing was sent.",
        remedy="Put the value into the secret's variable or file again, as the vendor gave it.",
    )
