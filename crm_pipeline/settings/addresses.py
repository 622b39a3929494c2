"""Which addresses a configuration may name.

Here: the rule (FAULTS security row 15): https, except on loopback; never link-local, never an
address that hides what it is. Not here: the check of links that a server sends (``http``).
"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_NUMBER_LIKE = re.compile(r"(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+))*")
_METADATA_HOSTS = {"metadata", "metadata.google.internal", "instance-data"}


def check_address(url: str) -> str:
    """Return the address without a trailing slash. Raises PydanticCustomError when refused.

    >>> check_address("https://api.loke.global/")
    'https://api.loke.global'
    """
    parts = _split(url)
    host = (parts.hostname or "").rstrip(".")
    is_loopback = _check_host(host)
    if parts.scheme != "https" and not is_loopback:
        raise _refused("must begin with https:// (plain http is for loopback only).")
    return url.rstrip("/")


def is_loopback_host(host: str) -> bool:
    """Return whether a host name is this machine for certain, without asking a name server."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    if url != url.strip() or any(ord(letter) < 33 for letter in url):
        raise _refused("holds a space or a control character.")
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise _refused("is not an address such as https://api.example.com.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise _refused("is not an address such as https://api.example.com.")
    if "@" in parts.netloc:
        raise _refused("holds a user name or password; credentials go into their own fields.")
    if parts.query or parts.fragment or "?" in url or "#" in url or "\\" in url:
        raise _refused("must not hold `?`, `#` or a backslash.")
    return parts


def _check_host(host: str) -> bool:
    """Return whether the host is loopback; raise when it must not be called."""
    if is_loopback_host(host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if _NUMBER_LIKE.fullmatch(host) or not _HOST_NAME.fullmatch(host):
            raise _refused("has a host that is neither a name nor a plain IP address.") from None
        if host in _METADATA_HOSTS:
            raise _refused("points to a cloud's metadata service.") from None
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        raise _refused("hides an IPv4 address inside an IPv6 one.")
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise _refused("points to a link-local, multicast or unspecified address.")
    return False


def _refused(problem: str) -> PydanticCustomError:
    return PydanticCustomError("address", "The address " + problem)


Address = Annotated[str, AfterValidator(check_address)]
