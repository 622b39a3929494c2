"""Events of the fake SoPost: who gets them, what is in them, and how they go wrong."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.sopost.hooks import HookBody
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL


class Receiver:
    """A real server that keeps what it is sent and answers with ``status``."""

    def __init__(self) -> None:
        self.status = 204
        self.bodies: list[dict[str, str]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/sopost/harbour/secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def subscribe(sandbox: Sandbox, url: str, *, is_campaign: bool = False) -> str:
    body = HookBody(
        url=url,
        events=["OrderEvent"],
        entity_type="Campaign" if is_campaign else "Organisation",
        entity_id=SMALL.sopost_campaign_id if is_campaign else SMALL.sopost_id,
    )
    return sandbox.sopost.subscriptions.add(body, "2026-03-04T05:06:07+00:00").id


def test_every_change_sends_the_thin_hook(sandbox: Sandbox, receiver: Receiver) -> None:
    subscribe(sandbox, receiver.url)
    order_id = sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.hooks.flush()
    sandbox.sopost.advance(order_id)
    sandbox.sopost.hooks.flush()
    sandbox.sopost.place(BIG.slug)
    sandbox.sopost.hooks.flush()
    assert [each["event"] for each in receiver.bodies] == ["PENDING", "APPROVED"]
    for body in receiver.bodies:
        assert list(body) == ["event_id", "event", "order_id", "activity_id"]
        assert len(body["event_id"]) == 40
        assert body["order_id"] == order_id
    assert len({each["event_id"] for each in receiver.bodies}) == 2


def test_a_silent_change_sends_nothing(sandbox: Sandbox) -> None:
    subscribe(sandbox, "http://127.0.0.1:9/")
    order_id = sandbox.sopost.place(SMALL.slug, is_told=False)
    sandbox.sopost.move(order_id, "APPROVED", is_told=False)
    sandbox.sopost.change(order_id, {"consents": []})
    assert sandbox.sopost.sent == []


@pytest.mark.parametrize(("names", "count"), [("hook", 2), ("event", 1)])
def test_two_hooks_tell_the_same_event_twice(sandbox: Sandbox, names: str, count: int) -> None:
    sandbox.sopost.switch(event_id=names)
    subscribe(sandbox, "http://127.0.0.1:9/")
    subscribe(sandbox, "http://127.0.0.1:9/", is_campaign=True)
    sandbox.sopost.place(SMALL.slug)
    sent = [each.event for each in sandbox.sopost.sent]
    assert len(sent) == 2
    assert len({each["event_id"] for each in sent}) == count
    assert len({(each["order_id"], each["event"]) for each in sent}) == 1


def test_a_hook_may_come_twice_with_one_id(sandbox: Sandbox, receiver: Receiver) -> None:
    subscribe(sandbox, receiver.url)
    sandbox.sopost.hooks.switch(duplicate=1)
    sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.hooks.flush()
    assert len(receiver.bodies) == 2
    assert receiver.bodies[0] == receiver.bodies[1]


def test_an_event_can_be_told_again_with_its_id_whatever_came_after(sandbox: Sandbox) -> None:
    subscribe(sandbox, "http://127.0.0.1:9/")
    order_id = sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.advance(order_id, "DELIVERED")
    sandbox.sopost.tell_again(order_id, "APPROVED")
    events = [each.event for each in sandbox.sopost.sent]
    assert events[-1] == events[1]
    assert sandbox.sopost.order(order_id).body["status"] == "DELIVERED"


def test_approved_may_come_after_a_later_state(sandbox: Sandbox) -> None:
    subscribe(sandbox, "http://127.0.0.1:9/")
    sandbox.sopost.switch(is_approved_late=True)
    first, second = sandbox.sopost.place(SMALL.slug), sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.advance(first, "DELIVERED")
    told = [each.event["event"] for each in sandbox.sopost.sent if each.event["order_id"] == first]
    assert told == ["PENDING", "DISPATCHED", "APPROVED", "DELIVERED"]
    sandbox.sopost.advance(second)
    assert sandbox.sopost.release() == 1
    assert sandbox.sopost.sent[-1].event["order_id"] == second
    assert sandbox.sopost.release() == 0


def test_a_long_pending_order_may_still_be_rejected(sandbox: Sandbox) -> None:
    subscribe(sandbox, "http://127.0.0.1:9/")
    order_id = sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.move(order_id, "REJECTED")
    assert sandbox.sopost.sent[-1].event["event"] == "REJECTED"


def test_a_refused_hook_is_never_tried_again(sandbox: Sandbox, receiver: Receiver) -> None:
    subscribe(sandbox, receiver.url)
    receiver.status = 503
    sandbox.sopost.place(SMALL.slug)
    sandbox.sopost.hooks.flush()
    sandbox.sopost.hooks.advance(86_400)
    sandbox.sopost.hooks.flush()
    assert [each.outcome for each in sandbox.sopost.hooks.deliveries()] == ["gave_up"]
    assert len(receiver.bodies) == 1


def test_who_unsubscribed_is_told_nothing(sandbox: Sandbox) -> None:
    hook_id = subscribe(sandbox, "http://127.0.0.1:9/")
    assert sandbox.sopost.subscriptions.remove(hook_id)
    sandbox.sopost.place(SMALL.slug)
    assert sandbox.sopost.sent == []
