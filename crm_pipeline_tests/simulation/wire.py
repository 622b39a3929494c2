"""The wire of the simulation: calls reach the fake vendors without a socket, or go wrong.

Everything that goes wrong is drawn from one generator, so that a seed is a whole history.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

#: What may happen to one call, and how often among faults.
FAULTS = {
    "refused": 2,
    "cut_before": 2,
    "cut_after": 4,
    "busy": 3,
    "throttled": 2,
    "garbled": 1,
}


class Killed(BaseException):
    """The simulated process was killed; nothing of it may be written any more."""


class Wire(httpx.BaseTransport):
    """Carries one organisation's calls to an ASGI application."""

    def __init__(self, app: Callable[..., Any], fate: "Fate", organisation: str) -> None:
        self._app = app
        self._fate = fate
        self._organisation = organisation

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one call, or fail as a network does."""
        fault = self._fate.of_call(request.method, self._organisation)
        if fault == "refused":
            raise httpx.ConnectError("refused")
        if fault == "cut_before":
            raise httpx.ReadError("cut")
        if fault == "busy":
            return httpx.Response(503, text="<html>busy</html>", request=request)
        if fault == "throttled":
            return httpx.Response(429, headers={"Retry-After": "0"}, request=request)
        response = self._answer(request)
        self._fate.after_call()
        if fault == "cut_after":
            raise httpx.ReadError("cut")
        if fault == "garbled" and len(response.content) > 2:
            return httpx.Response(200, content=response.content[:-1], request=request)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        raw = request.url.raw_path
        path, _, query = raw.partition(b"?")
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "raw_path": path,
            "query_string": query,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        run_through(self._app(scope, receive, send))
        start, end = sent
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return httpx.Response(start["status"], headers=names, content=end["body"], request=request)


def run_through(coroutine: Any) -> None:
    """Run a coroutine that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the fake vendor waits for something")


class Fate:
    """Decides what goes wrong, and when the process is killed.

    ``rate`` is the share of calls that go wrong. ``kill_after`` counts events (calls and durable
    writes) down to the kill; None: it lives. ``cut_off`` are organisations whose every call fails.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.rate = 0.0
        self.storage_rate = 0.0
        self.kill_after: int | None = None
        self.is_dead = False
        self.calls = 0
        self.cut_off: set[str] = set()

    def of_call(self, method: str, organisation: str) -> str:
        """Return what happens to a call; raises when the process dies before it."""
        self._count_down()
        self.calls += 1
        if organisation in self.cut_off:
            return "refused"
        if self._chance.random() >= self.rate:
            return ""
        kinds, weights = zip(*FAULTS.items(), strict=True)
        fault: str = self._chance.choices(kinds, weights)[0]
        return "busy" if fault == "garbled" and method != "GET" else fault

    def after_call(self) -> None:
        """Give the process a chance to die between the vendor's work and its answer."""
        self._count_down()

    def before_write(self) -> bool:
        """Return whether a durable write fails; raises when the process dies before it."""
        self._count_down()
        return self._chance.random() < self.storage_rate

    @contextmanager
    def strikes(
        self, *, rate: float = 0.0, storage_rate: float = 0.0, kill_after: int | None = None
    ) -> Iterator[None]:
        """Let things go wrong inside the block, and nothing after it."""
        self.rate, self.storage_rate, self.kill_after = rate, storage_rate, kill_after
        try:
            yield
        finally:
            self.rate = self.storage_rate = 0.0
            self.kill_after = None

    def revive(self) -> None:
        """Start a new process."""
        self.is_dead = False
        self.kill_after = None

    def _count_down(self) -> None:
        if self.is_dead:
            raise Killed
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                self.is_dead = True
                raise Killed
