"""The forms of LOKE's answers: errors, lists in pages, links to the next one."""

from collections.abc import Callable, Sequence
from typing import Any

from crm_pipeline.sandbox.loke.pages import Cursor, ForeignCursorError, next_target, read_cursor
from crm_pipeline.sandbox.loke.paging import Pager, Scan
from crm_pipeline.sandbox.loke.rows import RowStore
from crm_pipeline.sandbox.loke.state import LokeState
from crm_pipeline.sandbox.people import ulid
from crm_pipeline.sandbox.wire import Answer, Request, json_answer

_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found"}


def _as_it_is(row: Any) -> Any:
    return row


class Answers:
    """Builds answers as the switches of one fake LOKE want them."""

    def __init__(self, loke: LokeState) -> None:
        """Follow the switches of ``loke``."""
        self._loke = loke
        self._failures = 0
        self.pager = Pager(loke)

    def error(self, status: int, message: str) -> Answer:
        """Answer an error in LOKE's form."""
        if self._loke.switches.error_body == "text":
            return Answer(status, message.encode(), content_type=b"text/plain; charset=utf-8")
        self._failures += 1
        code = _CODES.get(status, "internal_error" if status >= 500 else "error")
        now_ms = int(self._loke.clock().timestamp() * 1000)
        body = {
            "message": message,
            "code": code,
            "type": f"https://errors.example.com/{code}",
            "instance": ulid(now_ms, self._failures, 0),
        }
        return json_answer(body, status)

    def listed(
        self,
        request: Request,
        rows: Sequence[Any],
        scope: str,
        size: int,
        show: Callable[[Any], Any] = _as_it_is,
    ) -> Answer:
        """Answer a page of a list that lies ready, by offset; ``show`` makes a row of an entry."""
        after = request.query.get("after", "")
        try:
            cursor = read_cursor(after, scope) if after else Cursor(scope, "offset", 1)
        except ForeignCursorError:
            return self.error(400, "Invalid cursor")
        answer = json_answer([show(row) for row in rows[cursor.offset : cursor.offset + size]])
        if cursor.offset + size < len(rows):
            onward = Cursor(scope, "offset", cursor.page + 1, cursor.offset + size)
            self.add_link(answer, request, onward.text())
        return answer

    def scanned(self, request: Request, store: RowStore, scan: Scan) -> Answer:
        """Answer a page of a store."""
        try:
            after = request.query.get("after", "")
            rows, onward = self.pager.page(store, scan, after, request.tie_seed)
        except ForeignCursorError:
            return self.error(400, "Invalid cursor")
        answer = json_answer(rows)
        if onward is not None:
            self.add_link(answer, request, onward)
        return answer

    def add_link(self, answer: Answer, request: Request, after: str) -> None:
        """Say where the list goes on."""
        target = next_target(request.path, request.query, after)
        if self._loke.switches.next_link == "absolute":
            target = self._loke.base_url + target
        answer.headers.append((b"x-next-page", target.encode()))
