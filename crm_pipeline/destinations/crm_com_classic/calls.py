"""One call of the Web API: its token, its envelope, and the pages of a list.

Here: what all methods share. Not here: the methods (``client``).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from crm_pipeline.destinations.crm_com_classic.assumptions import PAGE_SIZE
from crm_pipeline.destinations.crm_com_classic.envelope import (
    ClassicRefusedError,
    is_token_refused,
    read_data,
)
from crm_pipeline.destinations.crm_com_classic.tokens import TokenKeeper
from crm_pipeline.errors import CredentialsRefusedError, SourceUnstableError
from crm_pipeline.http import Answer, ApiClient

Shape = TypeVar("Shape")
Body = Mapping[str, Any]

#: Lists are read to their end, but not for ever.
_MOST_PAGES = 1_000_000


@dataclass(slots=True)
class Tally:
    """What some work has cost, and whether it may have had an effect.

    ``is_writing``: a write has no answer yet. ``has_written``: CRM.COM took one.
    """

    calls: int = 0
    is_writing: bool = False
    has_written: bool = False


class Calls:
    """Makes calls with a token. Thread-safe."""

    def __init__(self, client: ApiClient, tokens: TokenKeeper) -> None:
        self._client = client
        self._tokens = tokens

    def read(
        self,
        method: str,
        body: Body,
        shape: type[Shape],
        *,
        fields: Collection[str] = (),
        tally: Tally | None = None,
    ) -> Shape:
        """Call a method that changes nothing; it may be repeated."""
        answer = self._call("POST", method, _with_fields(body, fields), tally or Tally())
        return read_data(answer, shape)

    def read_by_query(
        self,
        method: str,
        query: Mapping[str, str],
        shape: type[Shape],
        *,
        fields: Collection[str] = (),
        tally: Tally | None = None,
    ) -> Shape:
        """Call a method of which the guide says GET: all it is told travels in the query."""
        answer = self._call("GET", method, _with_fields(query, fields), tally or Tally())
        return read_data(answer, shape)

    def write(
        self,
        method: str,
        body: Body,
        shape: type[Shape],
        *,
        fields: Collection[str] = (),
        tally: Tally | None = None,
    ) -> Shape:
        """Call a method that writes: sent once, but for a token that had ended."""
        held = tally or Tally()
        answer = self._call("POST", method, _with_fields(body, fields), held, is_writing=True)
        try:
            data = read_data(answer, shape)
        except (ClassicRefusedError, CredentialsRefusedError):
            held.is_writing = False
            raise
        held.is_writing, held.has_written = False, True
        return data

    def pages(
        self,
        method: str,
        body: Body,
        shape: type[Shape],
        *,
        fields: Collection[str] = (),
        page_size: int = PAGE_SIZE,
        tally: Tally | None = None,
    ) -> Iterator[Sequence[Shape]]:
        """Read a list page by page; a page shorter than asked for is the last one."""
        if page_size < 1:
            raise ValueError(f"a page holds at least one row, got {page_size}")
        rows_read = 0
        for _ in range(_MOST_PAGES):
            asked = {**body, "number_of_results": page_size, "offset": rows_read}
            told = _with_fields(asked, fields)
            rows = _rows(self._call("POST", method, told, tally or Tally()), shape)
            if rows:
                yield rows
            rows_read += len(rows)
            if len(rows) < page_size:
                return
        raise SourceUnstableError(
            f"CRM.COM's list {method} does not end.", not_done="The rest of it was not read."
        )

    def _call(
        self, verb: str, method: str, body: Body, tally: Tally, *, is_writing: bool = False
    ) -> Answer:
        token = self._tokens.value()
        answer = self._send(verb, method, body, token, tally, is_writing=is_writing)
        if not is_token_refused(answer):
            return answer
        tally.is_writing = False
        answer = self._send(
            verb, method, body, self._tokens.renew(token), tally, is_writing=is_writing
        )
        if not is_token_refused(answer):
            return answer
        tally.is_writing = False
        raise CredentialsRefusedError(
            f"{answer.call}: CRM.COM refused a token that it had just given.",
            not_done="The call was not done.",
            remedy="Check that the web API key or the user may use this method, then run"
            " `crm-pipeline doctor`.",
        )

    def _send(
        self,
        verb: str,
        method: str,
        body: Body,
        token: str,
        tally: Tally,
        *,
        is_writing: bool,
    ) -> Answer:
        tally.calls += 1
        tally.is_writing = is_writing
        told = {**body, "token": token}
        return self._client.send(
            verb,
            f"/{method}",
            json=told if verb == "POST" else None,
            query=told if verb == "GET" else None,
            is_repeatable=not is_writing,
            attempts=1 if is_writing else None,
        )


def _with_fields(body: Body, fields: Collection[str]) -> dict[str, Any]:
    return {**body, "fields_set": ",".join(fields)} if fields else dict(body)


def _rows(answer: Answer, shape: type[Shape]) -> Sequence[Shape]:
    """Return the rows of a list: the data itself, or the one member of it that is a list."""
    raw = read_data(answer, msgspec.Raw)
    if not _is_list(raw):
        members = read_data(answer, dict[str, msgspec.Raw] | None) or {}  # type: ignore[arg-type]
        lists = [value for value in members.values() if _is_list(value)]
        if len(lists) > 1 or (members and not lists):
            raise answer.malformed("holds no list, or more than one")
        raw = lists[0] if lists else msgspec.Raw(b"[]")
    try:
        rows: list[Shape] = msgspec.json.decode(raw, type=list[shape], strict=False)  # type: ignore[valid-type]
    except msgspec.ValidationError:
        raise answer.malformed("holds rows of another form") from None
    return rows


def _is_list(raw: msgspec.Raw) -> bool:
    return bytes(raw).lstrip().startswith(b"[")
