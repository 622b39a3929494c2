"""One server's client: what may be tried again, and what an answer's status means for everybody.

Here: retries, credentials, statuses that mean the same at every vendor. Not here: one exchange on
the wire (``exchange``), and statuses that a vendor gives its own meaning (the caller's).
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import tenacity

from crm_pipeline.core.records import Waits
from crm_pipeline.errors import (
    AnswerLostError,
    ConfigurationError,
    CredentialsRefusedError,
    CrmPipelineError,
    ThrottledError,
    UnreachableError,
)
from crm_pipeline.http.answer import Answer
from crm_pipeline.http.credentials import Credentials, NoCredentials
from crm_pipeline.http.exchange import Exchange, Outgoing
from crm_pipeline.http.origin import parse_origin
from crm_pipeline.http.retry import LONGEST_WAIT_SECONDS, parse_retry_after, retry_delay_seconds
from crm_pipeline.http.seams import Seams

_THROTTLED = 429
_NO_ANSWER_STATUSES = frozenset({408, 425})

#: Bodies beyond this are not read: no page of any vendor comes near it.
BODY_LIMIT_BYTES = 64 * 1024 * 1024


class _BusyError(AnswerLostError):
    """The server (or a proxy before it) answered that it could not answer."""

    def __init__(self, happened: str, retry_after_seconds: float | None) -> None:
        super().__init__(
            happened,
            not_done="Whether the call had an effect is unknown.",
            remedy="Run again later.",
        )
        self.retry_after_seconds = retry_after_seconds


class ApiClient:
    """Calls one server. Thread-safe; connections are reused.

    ``refused_statuses`` are those that mean "your credentials are not accepted"; they become
    CredentialsRefusedError after one renewal. All other statuses below 500 but 3xx and 429 are
    the caller's to read. ``is_done`` recognises the answer of a vendor whose bodies say that a
    call was done whatever the status.
    """

    def __init__(
        self,
        base_url: str,
        *,
        waits: Waits,
        credentials: Credentials | None = None,
        refused_statuses: frozenset[int] = frozenset({401}),
        is_done: Callable[[Answer], bool] | None = None,
        connections: int = 8,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        seams: Seams | None = None,
    ) -> None:
        self._origin = parse_origin(base_url)
        self._waits = waits
        self._credentials = credentials or NoCredentials()
        self._refused_statuses = refused_statuses
        self._is_done = is_done
        self._seams = seams or Seams()
        self._exchange = Exchange(
            self._origin,
            waits=waits,
            connections=connections,
            body_limit_bytes=body_limit_bytes,
            monotonic=self._seams.monotonic,
            wire=self._seams.wire,
        )

    @property
    def host(self) -> str:
        """The server's host, for messages."""
        return self._origin.host

    def close(self) -> None:
        """Close all connections."""
        self._exchange.close()

    def send(
        self,
        method: str,
        path_or_url: str,
        *,
        is_repeatable: bool,
        query: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """Make one call and return its answer, trying again where that is safe.

        Safe is: a repeatable call always; any call that surely was not sent or not taken (no
        connection, 429). ``attempts`` bounds the tries (default: ``waits.attempts``).

        Raises UnreachableError (surely not sent), ThrottledError (surely not done),
        AnswerLostError (effect unknown), CredentialsRefusedError, ForeignLinkError,
        MalformedAnswerError and ConfigurationError (a redirect).
        """
        outgoing = Outgoing(
            method=method,
            url=self._url_of(path_or_url, query),
            headers=dict(headers or {}),
            body=_encode(json, form),
            content_type=_content_type(json, form),
            is_repeatable=is_repeatable,
        )
        if attempts == 1:
            return self._attempt(outgoing)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts or self._waits.attempts),
            retry=tenacity.retry_if_exception(lambda error: _may_retry(error, is_repeatable)),
            wait=self._wait_seconds,
            sleep=self._seams.sleep,
            reraise=True,
        )
        return retrying(self._attempt, outgoing)

    def _url_of(self, path_or_url: str, query: Mapping[str, str] | None) -> str:
        url = self._origin.url_of(path_or_url)
        if not query:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return retry_delay_seconds(
            state.attempt_number,
            waits=self._waits,
            retry_after=_asked_wait(error),
            chance=self._seams.chance(),
        )

    def _attempt(self, outgoing: Outgoing) -> Answer:
        header = self._credentials.header()
        answer = self._exchange.run(outgoing, header)
        if answer.status in self._refused_statuses:
            answer = self._with_renewed_credentials(outgoing, header, answer)
        self._check(answer)
        return answer

    def _with_renewed_credentials(
        self, outgoing: Outgoing, refused: tuple[str, str] | None, answer: Answer
    ) -> Answer:
        """Repeat a refused call once with newer credentials: nothing was done by the first."""
        if self._credentials.renew(refused):
            answer = self._exchange.run(outgoing, self._credentials.header())
        if answer.status not in self._refused_statuses:
            return answer
        raise CredentialsRefusedError(
            f"{answer.call}: the server refused our credentials (status {answer.status}).",
            not_done="The call was not done.",
            remedy="Check that the key or the client is still valid and allowed to do this, put a"
            " new one in place, then run `crm-pipeline doctor`.",
        )

    def _check(self, answer: Answer) -> None:
        """Raise for the statuses that mean the same at every server."""
        status = answer.status
        if 300 <= status < 400:
            raise ConfigurationError(
                f"{answer.call}: the server redirects (status {status}).",
                not_done="The redirect was not followed: credentials go to one server only.",
                remedy="Put the final address into the organisation's file.",
            )
        if status == _THROTTLED:
            raise ThrottledError(
                f"{answer.call}: the server asks to slow down (status 429).",
                not_done="The call was not done.",
                remedy="Run again later, or lower the calls per second in the settings.",
                retry_after_seconds=self._retry_after(answer),
            )
        if (status >= 500 or status in _NO_ANSWER_STATUSES) and not self._says_done(answer):
            raise _BusyError(
                f"{answer.call}: the server could not answer (status {status}).",
                self._retry_after(answer),
            )

    def _says_done(self, answer: Answer) -> bool:
        return self._is_done is not None and self._is_done(answer)

    def _retry_after(self, answer: Answer) -> float | None:
        now = answer.server_date or self._seams.clock()
        return parse_retry_after(answer.headers.get("retry-after"), now=now)


def _may_retry(error: BaseException, is_repeatable: bool) -> bool:
    """Whether trying again can neither do a thing twice nor annoy a server that said how long."""
    if (_asked_wait(error) or 0.0) > LONGEST_WAIT_SECONDS:
        return False
    if isinstance(error, UnreachableError | ThrottledError):
        return True
    return is_repeatable and isinstance(error, AnswerLostError)


def _asked_wait(error: BaseException | None) -> float | None:
    if isinstance(error, ThrottledError | _BusyError):
        return error.retry_after_seconds
    return None


def _encode(json: Any, form: Mapping[str, str] | None) -> bytes | None:
    if form is not None:
        return urlencode(form).encode("ascii")
    if json is None:
        return None
    try:
        return msgspec.json.encode(json)
    except UnicodeEncodeError:
        raise CrmPipelineError(
            "A request body holds text that is not Unicode.", not_done="Nothing was sent."
        ) from None


def _content_type(json: Any, form: Mapping[str, str] | None) -> str | None:
    if form is not None:
        return "application/x-www-form-urlencoded"
    return "application/json" if json is not None else None
