"""What proves to a server who we are.

Here: the port and the plain API key. Not here: OAuth tokens (``tokens``).
"""

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


def header_safe(secret: str, name: str) -> str:
    """Return a secret that may stand in a header. Raises SecretMissingError, without its value."""
    value = secret.strip()
    if value and value.isascii() and value.isprintable():
        return value
    raise SecretMissingError(
        f"The {name} is empty or holds characters that no header can carry.",
        not_done="Nothing was sent.",
        remedy="Put the value into the secret's variable or file again, as the vendor gave it.",
    )
