"""Slow and many senders: each is bounded, and the others do not notice."""

import asyncio
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from crm_pipeline.errors import TryLaterError
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Appended
from crm_pipeline.webhooks import serving
from crm_pipeline.webhooks.alive import Health
from crm_pipeline.webhooks.app import OperatorApp, Parts, WebhookApp
from crm_pipeline.webhooks.figures import Figures
from crm_pipeline.webhooks.reading import BodyReader
from crm_pipeline.webhooks.serving import Listener, open_socket, port_of
from crm_pipeline.wiring.hooks import HookDirectory
from crm_pipeline_tests.store.ledger.samples import Clock
from crm_pipeline_tests.webhooks.running import PATH_SECRET, call, environment, sopost_body

SOPOST = f"/webhooks/sopost/acme/{PATH_SECRET}"


class Memory:
    """Stores in memory; ``error`` makes it fail."""

    def __init__(self):
        self.rows = []
        self.error = None

    async def store(self, received):
        if self.error is not None:
            raise self.error
        self.rows.append(received)
        return Appended(len(self.rows), is_new=True)


@contextmanager
def serving_app(app, *, max_connections=1_000):
    """Serve an application in a thread; yield its port."""
    opened = open_socket("127.0.0.1", 0)
    started, ended = threading.Event(), []

    async def main():
        listener = Listener(app(), opened, max_connections=max_connections)
        await listener.start()
        end = asyncio.Event()
        ended.append((asyncio.get_running_loop(), end))
        started.set()
        await end.wait()
        listener.stop_accepting()
        await listener.finish(1)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    with opened:
        thread.start()
        started.wait(10)
        yield port_of(opened)
        loop, end = ended[0]
        loop.call_soon_threadsafe(end.set)
        thread.join()


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def figures():
    return Figures()


@pytest.fixture
def make_app(tmp_path, memory, figures):
    """Return what makes an application with bodies that may take a fifth of a second."""
    hooks = HookDirectory(load_settings(environment(tmp_path)))
    hooks.refresh()

    def make(kind=WebhookApp):
        return lambda: kind(
            Parts(
                hooks=hooks,
                committer=memory,
                reader=BodyReader(max_bytes=1_000, max_seconds=0.2, max_total=1_500),
                figures=figures,
                health=Health(),
                probe=lambda: None,
                tell=lambda _action, **_details: None,
                clock=Clock(),
            )
        )

    return make


def begin(stack, port, text):
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    connection.sendall(text)
    return connection


def head(length):
    return f"POST {SOPOST} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_body_that_comes_too_slowly_is_asked_for_again(make_app, memory):
    with serving_app(make_app()) as port, ExitStack() as stack:
        slow = begin(stack, port, head(500) + b"{")
        assert call(port, "POST", SOPOST, sopost_body()).status == 200
        assert slow.recv(1_000).startswith(b"HTTP/1.1 503 ")
        assert slow.recv(1_000) == b""
    assert len(memory.rows) == 1


def test_a_sender_that_goes_away_half_way_leaves_nothing(make_app, memory):
    with serving_app(make_app()) as port:
        with ExitStack() as stack:
            begin(stack, port, head(500) + b"{")
        assert call(port, "POST", SOPOST, sopost_body()).status == 200
    assert len(memory.rows) == 1


def test_bodies_together_take_a_bounded_memory(make_app):
    with serving_app(make_app()) as port, ExitStack() as stack:
        begin(stack, port, head(999) + b" " * 900)
        second = begin(stack, port, head(999) + b" " * 900)
        assert second.recv(1_000).startswith(b"HTTP/1.1 503 ")
        deadline = time.monotonic() + 10
        while call(port, "POST", SOPOST, b" " * 800 + sopost_body()).status != 200:
            assert time.monotonic() < deadline


def test_heads_that_dribble_are_dropped_and_nobody_else_waits(make_app, monkeypatch):
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    with serving_app(make_app()) as port, ExitStack() as stack:
        slow = [begin(stack, port, b"POST /webhooks HTTP/1.1\r\nX") for _ in range(200)]
        slow.append(begin(stack, port, b""))
        for _ in range(20):
            started = time.monotonic()
            assert call(port, "POST", SOPOST, sopost_body()).status == 200
            assert time.monotonic() - started < 0.25
        for each in slow:
            with pytest.raises(ConnectionError):
                each.recv(1_000) or raise_reset()


def raise_reset():
    raise ConnectionResetError


def test_one_connection_may_carry_many_requests(make_app, memory, monkeypatch):
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    body = sopost_body()
    with serving_app(make_app()) as port, ExitStack() as stack:
        connection = begin(stack, port, b"")
        for _ in range(5):
            connection.sendall(head(len(body)) + body)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
    assert len(memory.rows) == 5


def test_above_the_most_connections_the_answer_is_come_again(make_app):
    with serving_app(make_app(), max_connections=5) as port, ExitStack() as stack:
        for _ in range(5):
            begin(stack, port, head(500))
        assert call(port, "POST", SOPOST, sopost_body()).status == 503


def test_what_breaks_inside_is_our_trouble_and_its_text_stays_inside(make_app, memory, capfd):
    memory.error = ZeroDivisionError("mina@example.com")
    with serving_app(make_app()) as port:
        answer = call(port, "POST", SOPOST, sopost_body())
    assert (answer.status, answer.body) == (503, b"")
    assert "mina" not in "".join(capfd.readouterr())


def test_figures_that_cannot_be_read_are_told_as_such(make_app, figures):
    def fail():
        raise TryLaterError("busy")

    with serving_app(make_app(OperatorApp)) as port:
        assert call(port, "GET", "/metrics").status == 200
        assert call(port, "GET", "/healthz").status == 200
        assert call(port, "GET", "/webhooks/loke/acme").status == 404
        figures.watch_inbox(fail)
        assert call(port, "GET", "/metrics").status == 503
