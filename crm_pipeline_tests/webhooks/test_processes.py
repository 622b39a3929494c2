"""Receivers as processes: killed, stopped, doubled, and with a ledger that takes no writes."""

import datetime as dt
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from crm_pipeline.store.ledger import Ledger
from crm_pipeline_tests.webhooks.conftest import now
from crm_pipeline_tests.webhooks.running import (
    PATH_SECRET,
    RunningReceiver,
    call,
    environment,
    loke_body,
    sopost_body,
)

SOPOST = f"/webhooks/sopost/acme/{PATH_SECRET}"


def stored(ledger):
    return ledger.inbox.claim("acme", 10_000)


def accepts(port):
    try:
        call(port, "GET", "/healthz")
    except OSError:
        return False
    return True


def until(is_true, seconds=20):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_was_acknowledged_is_there_after_the_process_was_killed(receiver, ledger):
    acknowledged, ended = [], threading.Event()

    def send(first):
        number = first
        while not ended.is_set():
            try:
                if receiver.post_loke(loke_body(number)).status == 200:
                    acknowledged.append(f"01HP{number}")
            except OSError:
                return
            number += 1

    threads = [threading.Thread(target=send, args=(each * 10_000,)) for each in range(8)]
    for each in threads:
        each.start()
    until(lambda: len(acknowledged) > 100)
    os.kill(receiver.process.pid, signal.SIGKILL)
    ended.set()
    for each in threads:
        each.join()
    kept = {row.entity_id for row in stored(ledger)}
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + len(threads)


def test_it_stops_when_told_and_answers_what_was_begun(receiver, ledger):
    body = sopost_body()
    head = f"POST {SOPOST} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(head + body[:20])
        until(lambda: receiver.get("/healthz").status == 200)
        receiver.process.send_signal(signal.SIGTERM)
        until(lambda: not receiver.is_announced)
        until(lambda: not accepts(receiver.port))
        connection.sendall(body[20:])
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
    assert receiver.end()[0] == 0
    assert len(stored(ledger)) == 1


def test_two_receivers_share_one_ledger(environ, ledger, tmp_path):
    with (
        RunningReceiver(tmp_path, environ) as one,
        RunningReceiver(tmp_path, environ) as two,
    ):
        for number in range(20):
            for each in (one, two):
                assert each.post_loke(loke_body(number)).status == 200
    rows = stored(ledger)
    assert len(rows) == 20
    assert {row.deliveries for row in rows} == {2}


def test_while_another_holds_the_ledger_the_answer_is_503_and_it_recovers_by_itself(
    receiver, ledger, tmp_path
):
    path = tmp_path / "home" / "ledger.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        assert receiver.post_loke(loke_body()).status == 503
        assert time.monotonic() - started < 3
        assert receiver.post(SOPOST, sopost_body()).status == 503
        assert call(receiver.port, "GET", "/readyz").status == 503
        assert receiver.get("/healthz").status == 200
        # What is wrong for ever is told as before.
        assert receiver.post_loke(loke_body(), "wrong").status == 401
        other.execute("ROLLBACK")
    until(lambda: receiver.get("/readyz").status == 200)
    assert receiver.post_loke(loke_body(2)).status == 200
    assert "01HP2" in {row.entity_id for row in stored(ledger)}


def test_a_damaged_ledger_is_our_trouble_and_not_the_sender_s(receiver, tmp_path):
    path = tmp_path / "home" / "ledger.sqlite3"
    for each in tmp_path.glob("home/ledger.sqlite3*"):
        each.rename(f"{each}.away")
    path.write_bytes(b"x" * 5_000)
    statuses = [receiver.post_loke(loke_body(number)).status for number in range(3)]
    assert set(statuses) <= {200, 503}
    assert receiver.get("/healthz").status == 200


@pytest.mark.postgres
def test_it_stores_in_postgres_and_survives_the_loss_of_its_connections(
    tmp_path, empty_postgres_url
):
    environ = environment(tmp_path, empty_postgres_url)
    with closing(Ledger(empty_postgres_url, clock=now)) as ledger:
        ledger.migrate()
        with RunningReceiver(tmp_path, environ) as receiver:
            assert receiver.post_loke(loke_body(1)).status == 200
            cut_connections(empty_postgres_url)
            statuses = [receiver.post_loke(loke_body(2)).status for _ in range(3)]
            assert statuses[-1] == 200
            assert set(statuses) <= {200, 503}
            assert receiver.end()[0] == 0
        assert [row.entity_id for row in stored(ledger)] == ["01HP1", "01HP2"]


def cut_connections(url):
    """End every connection to a database but this one, as a restart of the server does."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


def test_after_a_long_absence_it_asks_to_look_at_everything_anew(environ, ledger, tmp_path):
    with RunningReceiver(tmp_path, environ) as first:
        assert "4 webhooks of 2 organisations" in first.line()
        assert first.line() == "No receiver ran here before."
        first.end()
    with RunningReceiver(tmp_path, environ) as soon:
        soon.line()
        assert "senders try again for longer" in soon.line()
        soon.end()
    assert ledger.inbox.waiting() == {}
    forget_the_time(tmp_path / "home" / "ledger.sqlite3")
    with RunningReceiver(tmp_path, environ) as late:
        late.line()
        assert "a catch-up is asked for, for 4 webhooks" in late.line()
        code, _, log = late.end()
    assert code == 0
    assert json.loads(log.splitlines()[0])["action"] == "away"
    assert ledger.inbox.waiting() == {"acme": 3, "blue": 1}
    rows = stored(ledger)
    assert {(row.source, row.event) for row in rows} == {
        ("loke", "catch-up"), ("sopost", "catch-up"), ("crm_com", "catch-up"),
    }  # fmt: skip


def forget_the_time(path):
    """Let the last beat be five minutes older."""
    with closing(sqlite3.connect(path)) as connection:
        older = dt.timedelta(minutes=5) // dt.timedelta(microseconds=1)
        connection.execute("UPDATE positions SET position = position - ?", (older,))
        connection.commit()


def test_the_log_holds_digests_and_never_what_was_sent(receiver):
    receiver.post_loke(loke_body())
    receiver.post_loke(loke_body(organisation_id="01HOTHER"))
    receiver.post(f"/webhooks/loke/{'x' * 50}", loke_body())
    receiver.post(SOPOST, sopost_body())
    code, out, log = receiver.end()
    lines = [json.loads(line) for line in log.splitlines()]
    assert code == 0
    assert [line["action"] for line in lines] == [
        "received", "cross_tenant_webhook", "refused", "received", "stopped",
    ]  # fmt: skip
    assert len(lines[0]["digest"]) == 32
    assert lines[2]["organisation"] == ""
    for secret in ("Zo", PATH_SECRET, "xxxx", "01HP"):
        assert secret not in out + log


def test_a_log_that_nobody_reads_stops_no_webhook(receiver, ledger):
    # A pipe holds 64 KB: far fewer lines than these.
    for number in range(600):
        assert receiver.post_loke(loke_body(number)).status == 200
    assert len(stored(ledger)) == 600


def test_an_address_that_is_taken_is_told_with_a_way_out(environ, ledger, tmp_path):
    import subprocess
    import sys

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "crm_pipeline", "receiver", "--port", port],
            env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 78
    assert "--port" in done.stderr
