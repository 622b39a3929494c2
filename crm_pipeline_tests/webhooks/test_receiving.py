"""What a running receiver answers to each kind of request, and what it stores."""

import re
import socket
import threading
from collections import Counter

import pytest

from crm_pipeline.core.signature import loke_signature
from crm_pipeline_tests.webhooks.running import (
    LOKE_SECRET,
    OLD_SECRET,
    ORDER_ID,
    PATH_SECRET,
    call,
    loke_body,
    sopost_body,
)

LOKE = "/webhooks/loke/acme"
SOPOST = f"/webhooks/sopost/acme/{PATH_SECRET}"
CRM_COM = f"/webhooks/crm-com/acme/{PATH_SECRET}"


def stored(ledger, organisation="acme"):
    return ledger.inbox.claim(organisation, 1_000)


def test_a_signed_event_is_stored_byte_for_byte(shared, shared_ledger):
    body = loke_body()
    answer = shared.post_loke(body)
    assert (answer.status, answer.body) == (200, b"")
    (row,) = stored(shared_ledger)
    assert (row.source, row.event, row.entity_id) == ("loke", "customer.updated", "01HP1")
    assert row.body == body


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=" + "0" * 64,
        loke_signature(loke_body(), LOKE_SECRET).upper(),
        loke_signature(loke_body(), LOKE_SECRET)[7:],
        loke_signature(loke_body(), "retired"),
        loke_signature(loke_body(2), LOKE_SECRET),
    ],
)
def test_an_event_without_its_signature_is_refused_and_not_stored(shared, shared_ledger, signature):
    headers = {} if signature is None else {"X-Event-Signature": signature}
    answer = shared.post(LOKE, loke_body(), headers)
    assert (answer.status, answer.body) == (401, b"")
    assert stored(shared_ledger) == []


def test_two_signatures_prove_nothing(shared, shared_ledger):
    body = loke_body()
    head = f"POST {LOKE} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n" + (
        f"X-Event-Signature: {loke_signature(body, LOKE_SECRET)}\r\n" * 2
    )
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as connection:
        connection.sendall(head.encode() + b"\r\n" + body)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 401 ")
    assert stored(shared_ledger) == []


def test_the_old_secret_is_accepted_while_the_new_one_is_introduced(shared, shared_ledger):
    assert shared.post_loke(loke_body(), OLD_SECRET).status == 200
    assert len(stored(shared_ledger)) == 1


def test_an_event_of_another_organisation_is_refused_on_this_path(shared, shared_ledger):
    body = loke_body(organisation_id="01HBLUE")
    assert shared.post_loke(body).status == 403
    assert shared.post_loke(body, LOKE_SECRET, "blue").status == 401
    assert stored(shared_ledger) == stored(shared_ledger, "blue") == []


def test_a_paused_organisation_still_receives(shared, shared_ledger):
    body = loke_body(organisation_id="01HBLUE")
    assert shared.post_loke(body, "blue-secret", "blue").status == 200
    assert len(stored(shared_ledger, "blue")) == 1


def test_a_kind_of_event_that_nobody_knows_yet_is_stored(shared, shared_ledger):
    body = b'{"event":"payment.partially-refunded","organization":{"id":"01HACME"},"x":1}'
    assert shared.post_loke(body).status == 200
    (row,) = stored(shared_ledger)
    assert (row.event, row.entity_id) == ("payment.partially-refunded", "")


def test_an_event_that_comes_fifty_times_at_once_is_stored_once(shared, shared_ledger):
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(shared.post_loke(loke_body()).status))
        for _ in range(50)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Counter(statuses) == {200: 50}
    (row,) = stored(shared_ledger)
    assert row.deliveries == 50


def test_one_event_of_an_order_is_stored_once_whatever_its_delivery_is_called(
    shared, shared_ledger
):
    for event, event_id in (("APPROVED", "a1"), ("approved", "b2"), ("DISPATCHED", "c3")):
        assert shared.post(SOPOST, sopost_body(event, event_id=event_id)).status == 200
    rows = stored(shared_ledger)
    assert [(row.source, row.event, row.entity_id, row.deliveries) for row in rows] == [
        ("sopost", "order", ORDER_ID, 2),
        ("sopost", "order", ORDER_ID, 1),
    ]
    assert b'"event_id":"a1"' in rows[0].body


@pytest.mark.parametrize(
    "order_id",
    ["", "../../", "x", ORDER_ID + "/", "{" + ORDER_ID + "}", ORDER_ID[:-1] + "٣", "a" * 100_000],
)
def test_an_order_id_that_is_no_uuid_is_refused(shared, shared_ledger, order_id):
    assert shared.post(SOPOST, sopost_body(order_id=order_id)).status == 400
    assert shared.post(SOPOST, sopost_body(event_id="x", order_id=ORDER_ID) + b"x").status == 400
    assert stored(shared_ledger) == []


def test_an_order_of_crm_com_is_stored_once_for_each_state_of_it(shared, shared_ledger):
    new, paid = b'{"id":"o-1","state":"NEW"}', b'{"order":{"id":"o-1","state":"PAID"}}'
    assert [shared.post(CRM_COM, body).status for body in (new, paid, new)] == [200, 200, 200]
    assert [(row.source, row.event, row.entity_id) for row in stored(shared_ledger)] == [
        ("crm_com", "order", "o-1")
    ] * 2
    assert shared.post(CRM_COM, b'{"id":"../o"}').status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/sopost/acme/wrong",
        "/webhooks/sopost/acme/",
        f"/webhooks/sopost/acme/{PATH_SECRET}/",
        f"/webhooks/sopost/blue/{PATH_SECRET}",
        f"/webhooks/sopost/nobody/{PATH_SECRET}",
        f"/webhooks/crm-com/blue/{PATH_SECRET}",
        "/webhooks/loke/nobody",
        "/webhooks/loke/",
        "/webhooks/loke/acme/",
        "/webhooks/loke/../loke/nobody",
        "/webhooks/other/acme",
        "/webhooks/crm_com/acme/x",
        "/metrics",
        "/",
    ],
)
def test_an_address_that_is_not_ours_tells_nothing(shared, shared_ledger, path):
    answer = shared.post(path, sopost_body())
    assert (answer.status, answer.body) == (404, b"")
    assert "server" not in answer.headers
    assert stored(shared_ledger) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "TRACE", "PATCH"])
def test_only_post_is_answered_and_no_version_is_told(shared, method):
    answer = call(shared.port, method, LOKE)
    assert answer.status == 405
    assert "server" not in {name.lower() for name in answer.headers}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b"1",
        b"\xef\xbb\xbf" + loke_body(),
        loke_body()[:-1],
        loke_body() + b"{}",
        loke_body().replace(b'"event"', b'"event":"a","event"', 1),
        loke_body().replace(b'"01HP1"', b"NaN"),
        loke_body().replace(b'"01HP1"', b"9" * 5_000),
        loke_body().replace(b"01HP1", b"\\ud800"),
        loke_body().replace(b"01HP1", b"\0"),
        loke_body().replace("ë".encode(), b"\xff"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"event":5,"organization":{"id":"01HACME"}}',
        b'{"event":"customer.updated","organization":{}}',
        b'{"event":"customer.updated","organization":"01HACME"}',
        b'{"event":"customer\\u001b[31m","organization":{"id":"01HACME"}}',
    ],
)
def test_a_signed_body_of_another_shape_is_refused(shared, shared_ledger, body):
    assert shared.post_loke(body).status == 400
    assert stored(shared_ledger) == []
    assert shared.post_loke(loke_body()).status == 200


@pytest.mark.parametrize("size", [1_024 * 1_024 + 1, 3_000_000])
def test_a_body_over_the_limit_is_refused_and_the_next_request_is_served(
    shared, shared_ledger, size
):
    assert shared.post_loke(b" " * size).status == 413
    assert stored(shared_ledger) == []
    assert shared.post_loke(loke_body()).status == 200


def test_a_body_up_to_the_limit_is_taken(shared, shared_ledger):
    body = loke_body()
    assert shared.post_loke(body + b" " * (1_024 * 1_024 - len(body))).status == 200


def test_a_body_in_pieces_without_end_is_cut_off(shared, shared_ledger):
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    head = f"POST {LOKE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as connection:
        connection.sendall(head)
        sent = 0
        try:
            while sent < 60_000_000:
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
    assert sent < 30_000_000


def test_a_body_that_is_announced_as_huge_is_refused_at_once(shared):
    head = f"POST {LOKE} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 413 ")


def is_dropped(port, head):
    """Whether a connection ends without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(head)
            return connection.recv(1_000) == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize(
    "headers", [b"X: " + b"x" * 200_000, (b"X: " + b"x" * 1_000 + b"\r\n") * 20]
)
def test_a_head_that_is_too_long_is_dropped(shared, headers):
    assert is_dropped(shared.port, b"GET /healthz HTTP/1.1\r\n" + headers + b"\r\n\r\n")
    assert not is_dropped(shared.port, b"GET /healthz HTTP/1.1\r\nX: y\r\n\r\n")


def test_health_is_for_callers_on_this_machine_only(shared):
    assert shared.get("/healthz").status == 200
    assert shared.get("/readyz").body == b"ready"
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert shared.get("/healthz", {name: "203.0.113.7"}).status == 404
        assert shared.get("/readyz", {name: "203.0.113.7"}).status == 404


def test_figures_are_on_a_port_of_their_own_and_name_nobody(shared, shared_ledger):
    shared.line()
    port = int(re.search(r":(\d+)/metrics", shared.line())[1])
    shared.post_loke(loke_body())
    shared.post(SOPOST, sopost_body())
    shared.post(SOPOST, sopost_body())
    answer = call(port, "GET", "/metrics")
    text = answer.body.decode()
    assert answer.status == 200
    assert 'crm_pipeline_webhooks_total{cause="repeated",source="sopost",status="200"}' in text
    assert 'crm_pipeline_inbox_events{state="pending"} 2.0' in text
    assert "crm_pipeline_receiver_ready 1.0" in text
    assert call(port, "GET", "/readyz").status == 200
    labels = set(re.findall(r'(\w+)="', text))
    assert labels <= {"cause", "source", "status", "le", "outcome", "state"}
    assert re.findall("acme|blue|01H|Zo|secret", text) == []
