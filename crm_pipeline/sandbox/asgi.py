"""One fake vendor as an ASGI application: dispatch, faults, log.

Hand-written and not a framework, because the sandbox must be faster than what it measures.

Here: the way of a call through the server. Not here: what the vendor answers (``Vendor``).
"""

import asyncio
import datetime as dt
import gzip
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from crm_pipeline.sandbox.control.faults import FaultBox, FaultRule
from crm_pipeline.sandbox.control.log import LoggedRequest, RequestLog
from crm_pipeline.sandbox.wire import (
    TRANSPORT_EXTENSION,
    Answer,
    Headers,
    Request,
    Route,
    http_date,
    split_path,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ADMIN = "/_sandbox"
_GZIP_FROM_BYTES = 1024
_HTML = b"<html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"


class Vendor(Protocol):
    """What the application needs from a vendor."""

    lock: threading.RLock
    faults: FaultBox
    requests: RequestLog
    clock: Callable[[], dt.datetime]
    prefix: str

    @property
    def gzip(self) -> bool:
        """Say whether answers are compressed for those who ask."""

    def route(self, request: Request) -> Route:
        """Find who answers; never raises."""

    def page_of(self, request: Request) -> int:
        """Return the page of a scan that the call asks for, from 1."""

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Move rows while somebody reads them."""

    def make_stale(self, request: Request) -> None:
        """Revoke the token that the call carries."""

    def failure(self, status: int) -> Answer:
        """Answer an injected failure in the vendor's own form."""

    def administer(self, request: Request) -> Answer:
        """Answer an admin call."""


class VendorApp:
    """The ASGI callable of one vendor."""

    def __init__(self, vendor: Vendor) -> None:
        """Serve a vendor."""
        self._vendor = vendor
        self._second = -1
        self._date = b""
        self._logged_at = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        request = await self._read(scope, receive)
        vendor = self._vendor
        path = request.path.removeprefix(vendor.prefix)
        if path.startswith(_ADMIN):
            with vendor.lock:
                answer = vendor.administer(request)
            await self._send(request, answer, send)
            return
        self._tick()
        with vendor.lock:
            route = vendor.route(request)
        if vendor.faults.has_rules:
            names = route.organisation
            rules = vendor.faults.choose(
                request.method, request.target, names, vendor.page_of(request)
            )
            if rules:
                await _FaultyCall(self, request, route, rules).run(scope, receive, send)
                return
        with vendor.lock:
            answer = route.handler(request)
        self.log(request, route, answer.status)
        await self._send(request, answer, send)

    def log(
        self, request: Request, route: Route, status: int, rules: tuple[FaultRule, ...] = ()
    ) -> None:
        """Write one line of the request log."""
        self._vendor.requests.add(
            LoggedRequest(
                self._logged_at,
                request.method,
                request.target,
                status,
                route.template,
                route.organisation[0] if route.organisation else "",
                route.key_name,
                tuple(rule.kind for rule in rules),
            )
        )

    @property
    def vendor(self) -> Vendor:
        """Return the vendor served."""
        return self._vendor

    def headers_of(self, request: Request, answer: Answer) -> Headers:
        """Return the headers to send; compresses the body when asked and allowed."""
        headers: Headers = [(b"date", self._date), (b"content-type", answer.content_type)]
        if (
            self._vendor.gzip
            and len(answer.body) >= _GZIP_FROM_BYTES
            and b"gzip" in request.headers.get(b"accept-encoding", b"")
        ):
            answer.body = gzip.compress(answer.body, compresslevel=1, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        if answer.status != 204:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        headers += answer.headers
        return headers

    async def _send(self, request: Request, answer: Answer, send: Send) -> None:
        self._tick()
        headers = self.headers_of(request, answer)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    send_answer = _send

    def _tick(self) -> None:
        now = self._vendor.clock()
        second = int(now.timestamp())
        if second != self._second:
            self._second = second
            self._date = http_date(now).encode()
            self._logged_at = now.astimezone(dt.UTC).isoformat()[:19] + "Z"

    @staticmethod
    async def _read(scope: Scope, receive: Receive) -> Request:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        body = b""
        if b"content-length" in headers or b"transfer-encoding" in headers:
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
        raw_path: str = scope["raw_path"].decode("latin-1")
        return Request(
            scope["method"],
            raw_path,
            scope["query_string"].decode("latin-1"),
            split_path(raw_path),
            headers,
            body,
        )


class ByPrefix:
    """Two vendors on one port: paths that start with ``prefix`` go to the first."""

    def __init__(self, prefix: str, app: VendorApp, other: VendorApp) -> None:
        """Serve both."""
        self._prefix = prefix
        self._app = app
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a call on."""
        app = self._app if scope["path"].startswith(self._prefix) else self._other
        await app(scope, receive, send)


class _FaultyCall:
    """One call on which rules act."""

    def __init__(
        self, app: VendorApp, request: Request, route: Route, rules: tuple[FaultRule, ...]
    ) -> None:
        self._app = app
        self._request = request
        self._route = route
        self._rules = rules
        self._by_kind = {rule.kind: rule for rule in reversed(rules)}

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        delay_ms = sum(rule.delay_ms for rule in self._rules)
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        if "cut_before" in self._by_kind:
            self._log(0)
            await _cut(scope, receive)
            return
        with self._app.vendor.lock:
            answer = self._answer()
        self._tamper(answer)
        self._log(answer.status)
        if "cut_after" in self._by_kind:
            await _cut(scope, receive)
            return
        if "truncate" in self._by_kind:
            await self._send_part(answer, send, scope, receive)
            return
        await self._app.send_answer(self._request, answer, send)

    def _answer(self) -> Answer:
        vendor, by_kind = self._app.vendor, self._by_kind
        if "move_rows" in by_kind:
            vendor.disturb(self._route.organisation, by_kind["move_rows"])
        if "status" in by_kind:
            return self._failure(by_kind["status"])
        if "stale_token" in by_kind:
            vendor.make_stale(self._request)
        if "shuffle_ties" in by_kind:
            log_count = vendor.requests.count()
            self._request.tie_seed = by_kind["shuffle_ties"].seed * 1_000_003 + log_count
        return self._route.handler(self._request)

    def _failure(self, rule: FaultRule) -> Answer:
        answer = self._app.vendor.failure(rule.status)
        if rule.content == "html":
            answer.body, answer.content_type = _HTML, b"text/html"
        elif rule.content == "text":
            answer.body, answer.content_type = b"upstream failed", b"text/plain"
        elif rule.content == "empty":
            answer.body = b""
        if rule.body is not None:
            answer.body = rule.body.encode()
        if rule.retry_after is not None:
            value = str(rule.retry_after)
            if rule.retry_after_form == "date":
                wait = dt.timedelta(seconds=rule.retry_after)
                value = http_date(self._app.vendor.clock() + wait)
            answer.headers.append((b"retry-after", value.encode()))
        return answer

    def _tamper(self, answer: Answer) -> None:
        if "not_json" in self._by_kind:
            answer.body = _HTML
        if "next_link" not in self._by_kind:
            return
        rule = self._by_kind["next_link"]
        answer.headers = [pair for pair in answer.headers if pair[0] != b"x-next-page"]
        value = {
            "other_host": f"{rule.host}{self._request.target}",
            "loop": self._request.target,
            "missing": None,
            "empty": "",
        }[rule.link]
        if value is not None:
            answer.headers.append((b"x-next-page", value.encode()))

    def _log(self, status: int) -> None:
        self._app.log(self._request, self._route, status, self._rules)

    async def _send_part(self, answer: Answer, send: Send, scope: Scope, receive: Receive) -> None:
        headers = self._app.headers_of(self._request, answer)
        part = answer.body[: self._by_kind["truncate"].keep_bytes]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": part, "more_body": True})
        # close() and not abort(): what was written has to arrive first.
        scope["extensions"][TRANSPORT_EXTENSION].close()
        await _until_disconnected(receive)


async def _cut(scope: Scope, receive: Receive) -> None:
    scope["extensions"][TRANSPORT_EXTENSION].abort()
    await _until_disconnected(receive)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
