"""One exchange on the wire: a request goes out, an answer is read whole, or an error says how far.

Here: httpx. Its transport is used without its client: that saves a third of the time of a call
and leaves out redirects, cookies and proxies from the environment, which we must not have.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import httpx

from crm_pipeline.core.records import Waits
from crm_pipeline.errors import (
    AnswerLostError,
    CrmPipelineError,
    MalformedAnswerError,
    UnreachableError,
)
from crm_pipeline.http.answer import Answer
from crm_pipeline.http.origin import Origin

#: Shorter than any server's own limit, so that a connection is rarely closed under our request.
_KEEP_ALIVE_SECONDS = 4.0

_USER_AGENT = "crm-pipeline"

#: Errors of httpx after which surely no byte of the request was acted upon.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request, without credentials."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    content_type: str | None
    is_repeatable: bool


class Exchange:
    """The connections to one server."""

    def __init__(
        self,
        origin: Origin,
        *,
        waits: Waits,
        connections: int,
        body_limit_bytes: int,
        monotonic: Callable[[], float],
        wire: Callable[[], httpx.BaseTransport] | None = None,
    ) -> None:
        self._origin = origin
        self._seconds = waits.timeout_seconds
        self._timeouts = httpx.Timeout(
            waits.timeout_seconds, connect=min(waits.connect_seconds, waits.timeout_seconds)
        ).as_dict()
        self._body_limit_bytes = body_limit_bytes
        self._monotonic = monotonic
        self._transport = wire() if wire is not None else _network(origin, connections)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def run(self, outgoing: Outgoing, credentials: tuple[str, str] | None) -> Answer:
        """Send one request and read its whole answer, whatever the status."""
        call = self._call_of(outgoing)
        request = self._request(outgoing, credentials)
        until = self._monotonic() + self._seconds
        try:
            response = self._transport.handle_request(request)
            try:
                body = self._read(response, until, call)
            finally:
                response.close()
        except _NOT_SENT as error:
            raise _unreachable(call, error) from None
        except httpx.DecodingError:
            raise self._unusable(outgoing, call, "its body is wrongly compressed") from None
        except httpx.TransportError as error:
            raise _lost(call, _cause_of(error)) from None
        except _TooLongError as error:
            raise self._unusable(outgoing, call, error.fault) from None
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            call=call,
        )

    def _request(self, outgoing: Outgoing, credentials: tuple[str, str] | None) -> httpx.Request:
        """Build the request; credentials are added only when it goes to our server."""
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        headers["User-Agent"] = _USER_AGENT
        if outgoing.content_type:
            headers["Content-Type"] = outgoing.content_type
        headers.update(outgoing.headers)
        if credentials is not None and self._origin.owns(outgoing.url):
            headers[credentials[0]] = credentials[1]
        try:
            return httpx.Request(
                outgoing.method,
                outgoing.url,
                headers=headers,
                content=outgoing.body,
                extensions={"timeout": self._timeouts},
            )
        except httpx.InvalidURL:
            raise MalformedAnswerError(
                f"An address on {self._origin.host} cannot be called: it is not a valid URL.",
                not_done="Nothing was sent.",
            ) from None

    def _read(self, response: httpx.Response, until: float, call: str) -> bytes:
        """Read the body within its size and the call's time."""
        chunks: list[bytes] = []
        size_bytes = 0
        for chunk in response.iter_bytes():
            size_bytes += len(chunk)
            if size_bytes > self._body_limit_bytes:
                raise _TooLongError(f"its body is over {self._body_limit_bytes} bytes")
            if self._monotonic() > until:
                raise _lost(call, f"the answer was not complete after {self._seconds:g} s")
            chunks.append(chunk)
        return b"".join(chunks)

    def _unusable(self, outgoing: Outgoing, call: str, fault: str) -> CrmPipelineError:
        """Return the error for an answer that cannot be read: for a write it may be done."""
        if not outgoing.is_repeatable:
            return _lost(call, f"the answer cannot be read: {fault}")
        return MalformedAnswerError(
            f"{call}: the answer cannot be read: {fault}.", not_done="It was not used."
        )

    def _call_of(self, outgoing: Outgoing) -> str:
        """Name a call without its query, which may hold an e-mail address."""
        path = outgoing.url.partition("?")[0].partition("://")[2].partition("/")[2]
        return f"{outgoing.method} {self._origin.host} /{path}"


class _TooLongError(Exception):
    """An answer's body is beyond the limit."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def _network(origin: Origin, connections: int) -> httpx.BaseTransport:
    return httpx.HTTPTransport(
        verify=_tls_context(origin.scheme),
        trust_env=False,
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
        ),
    )


@lru_cache(maxsize=2)
def _tls_context(scheme: str) -> ssl.SSLContext:
    """Return the TLS rules: certificates are always verified.

    A plain http server (this machine) gets a context that trusts nobody; it spares the loading of
    the certificate store.
    """
    if scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context(trust_env=False)


def _unreachable(call: str, error: httpx.TransportError) -> CrmPipelineError:
    if isinstance(error, httpx.PoolTimeout):
        return UnreachableError(
            f"{call}: no connection became free in time.", not_done="Nothing was sent."
        )
    return UnreachableError(
        f"{call}: no connection could be made ({_cause_of(error)}).",
        not_done="Nothing was sent.",
        remedy="Check the address in the organisation's file and the network, then run again.",
    )


def _lost(call: str, cause: str) -> AnswerLostError:
    return AnswerLostError(
        f"{call}: {cause}.",
        not_done="Whether the call had an effect is unknown.",
        remedy="Run again later.",
    )


def _cause_of(error: httpx.TransportError) -> str:
    """Say in our words what happened; the library's own text may quote what was sent."""
    if isinstance(error, httpx.TimeoutException):
        return "time-out"
    if "certificate" in str(error).lower():
        return "the server's certificate is not valid for it"
    if isinstance(error, httpx.RemoteProtocolError):
        return "the connection was closed before the answer was complete"
    return f"the connection broke, {type(error).__name__}"
