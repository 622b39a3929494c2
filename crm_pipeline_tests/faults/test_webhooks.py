"""Faults at the receiver and in what webhooks bring."""

import datetime as dt
import itertools
import json
import os
import re
import resource
import sqlite3
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, make_url, text

from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.drain import DrainRules
from crm_pipeline_tests.acceptance.trading import spelled_anew
from crm_pipeline_tests.faults.dagster_host import below
from crm_pipeline_tests.faults.tracing import acknowledged, traced
from crm_pipeline_tests.postgres import PostgresMissingError, running_cluster
from crm_pipeline_tests.sync.mailroom import CUSTOMER
from crm_pipeline_tests.webhooks.conftest import environ, ledger, now, receiver  # noqa: F401
from crm_pipeline_tests.webhooks.running import (
    PATH_SECRET,
    RunningReceiver,
    call,
    environment,
    loke_body,
    sopost_body,
)

SOPOST = f"/webhooks/sopost/acme/{PATH_SECRET}"


def until(is_true, seconds=30):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def stored(a_ledger):
    return a_ledger.inbox.claim("acme", 100_000)


def test_a_replay_after_the_inbox_forgot_changes_nothing_at_all(shop):
    """Months later the copies that would tell a repetition are gone; versions are not."""
    organisation = shop.organisation.id
    with shop.product.receiver() as running:
        shop.keep_webhooks()
        person = shop.loke.create_customer(organisation, hasAgreedToMarketing=True)["id"]
        shop.clock.later(30)
        sold = shop.loke.complete_payment(organisation, customer=person, total=2_000)
        for name in ("Second", "Third"):
            shop.clock.later(30)
            shop.loke.update_customer(
                organisation, person, {"firstName": name, "hasAgreedToMarketing": name == "Third"}
            )
        shop.clock.later(30)
        shop.loke.refund(organisation, sold["id"])
        bodies = shop.kept_webhooks()
        for body in bodies:
            shop.deliver(running, body)
        shop.sync()
        assert shop.wrong() == []
        assert purged(shop) == len(bodies)
        before = everything(shop)
        shop.crm.requests.clear()
        for body in bodies:
            for copy in (body, spelled_anew(body)):
                shop.deliver(running, copy)
            shop.sync()
            assert everything(shop) == before
    assert shop.writes() == 0


def purged(shop):
    path = shop.product.folder / "home" / "ledger.sqlite3"
    with closing(Ledger(f"sqlite:///{path}", clock=now)) as a_ledger:
        return a_ledger.inbox.purge(now() + dt.timedelta(days=400))


def everything(shop):
    """All that the CRM holds of this organisation, byte for byte."""
    held = (
        shop.crm.contacts(shop.organisation.crm_test_key),
        shop.desk.purchases(),
        shop.desk.journals(),
        shop.shop.products(),
    )
    return json.dumps(held, default=str, sort_keys=True)


def test_forged_orders_cost_a_bounded_number_of_reads_at_the_vendor_alone(desk, mailbox):
    """Whoever learnt the secret address may send any id; nothing else of the body is used."""
    log = desk.sandbox.sopost.requests
    log.clear()
    for _ in range(300):
        body = {"order_id": str(uuid.uuid4()), "callback": "http://127.0.0.1:9/steal"}
        mailbox.post("order", body, source="sopost", entity_id=body["order_id"])
    rules = DrainRules(max_reads=40)
    report = mailbox.drain(rules=rules)
    assert (report.landed, report.reads) == (0, 40)
    assert len(log.entries()) <= 2 * 40
    assert {entry.method for entry in log.entries()} == {"GET"}
    assert all(re.search(r"/orders/[0-9a-f-]{36}$", entry.path) for entry in log.entries())
    # Until its next time comes, an id is not asked about again.
    for _ in range(20):
        mailbox.drain(rules=rules)
    assert len({entry.path for entry in log.entries()}) == len(log.entries()) == 300
    assert mailbox.current("orders", "sopost") == {}


@pytest.mark.parametrize("order", list(itertools.permutations(("First", "Second"))))
@pytest.mark.parametrize("is_drained_between", [False, True])
def test_of_two_versions_of_one_second_the_last_to_arrive_is_not_the_newest(
    desk, mailbox, order, is_drained_between
):
    desk.pull()
    [row_id] = desk.change(count=1, fields={"firstName": "Second"})
    told = desk.at_source()[row_id]
    for name in order:
        mailbox.post("customer.updated", {"customer": {**told, "firstName": name}})
        if is_drained_between:
            mailbox.drain()
    mailbox.drain()
    assert mailbox.current()[row_id]["first_name"] == "Second"
    desk.pull()
    assert mailbox.current()[row_id]["first_name"] == "Second"


def test_statistics_with_the_short_customer_clear_nothing_while_loke_is_down(alone):
    alone.post("customer.created", {"customer": CUSTOMER})
    alone.drain()
    before = alone.current()[CUSTOMER["id"]]
    tiny = {"id": CUSTOMER["id"], "firstName": "Mina"}
    alone.post("customer.updated-statistics", {"customer": tiny, "statistics": {}})
    alone.post("customer.updated", {"customer": tiny})
    assert (alone.drain().landed, alone.current()[CUSTOMER["id"]]) == (0, before)


def test_every_acknowledgement_comes_after_an_fsync(receiver, ledger, tmp_path):  # noqa: F811
    """A kill loses nothing that the kernel has; only the order of system calls proves more."""
    with traced(tmp_path / "trace", [receiver.process.pid]):
        send_forty(receiver)
    assert acknowledged(tmp_path / "trace") == (40, 0)


def send_forty(receiver):  # noqa: F811
    for number in range(20):
        assert receiver.post_loke(loke_body(number)).status == 200
        assert receiver.post(SOPOST, sopost_body(event_id=f"e{number}", order_id=str(
            uuid.UUID(int=number)))).status == 200  # fmt: skip


@pytest.mark.postgres
def test_every_acknowledgement_comes_after_postgres_has_synced_its_log(tmp_path):
    """Though its database is set to answer before that, and nothing else syncs meanwhile."""
    try:
        cluster = running_cluster("wal_writer_delay=10s", is_durable=True)
        with cluster as url:
            for sql in ("CREATE DATABASE hooks", "ALTER DATABASE hooks SET synchronous_commit=off"):
                run_sql(url, sql)
            hooks = make_url(url).set(database="hooks").render_as_string(hide_password=False)
            with closing(Ledger(hooks, clock=now)) as made:
                made.migrate()
            with RunningReceiver(tmp_path, environment(tmp_path, hooks)) as running:
                assert running.post_loke(loke_body(100)).status == 200
                server = server_pid(url)
                with traced(tmp_path / "trace", [running.process.pid, server, *below(server)]):
                    send_forty(running)
    except PostgresMissingError as error:
        pytest.skip(str(error))
    assert acknowledged(tmp_path / "trace") == (40, 0)


def run_sql(url, sql):
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(sql))
    engine.dispose()


def server_pid(url):
    folder = Path(make_url(url).query["host"])
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def test_a_full_disk_asks_for_another_try_and_recovers_by_itself(receiver, ledger):  # noqa: F811
    pid = receiver.process.pid
    assert receiver.post_loke(loke_body(1)).status == 200
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        for number in range(2, 5):
            assert receiver.post_loke(loke_body(number)).status == 503
            assert receiver.post(SOPOST, sopost_body()).status == 503
        until(lambda: call(receiver.port, "GET", "/readyz").status == 503)
        assert receiver.get("/healthz").status == 200
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    until(lambda: receiver.post_loke(loke_body(9)).status == 200)
    until(lambda: call(receiver.port, "GET", "/readyz").status == 200)
    assert {row.entity_id for row in stored(ledger)} == {"01HP1", "01HP9"}


def test_a_burst_is_taken_or_asked_for_again_and_nothing_is_lost(receiver, ledger):  # noqa: F811
    statuses = []

    def send(first):
        for number in range(first, first + 60):
            until(lambda number=number: answered(number) == 200)

    def answered(number):
        status = receiver.post_loke(loke_body(number)).status
        statuses.append(status)
        return status

    threads = [threading.Thread(target=send, args=(each * 60,)) for each in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(statuses) <= {200, 503}
    assert len({row.entity_id for row in stored(ledger)}) == 960


def test_many_files_that_cannot_be_opened_are_our_trouble_for_a_while(receiver, ledger):  # noqa: F811
    """Out of file handles: 503 or no connection at all, never a refusal; then as before."""
    pid = receiver.process.pid
    assert receiver.post_loke(loke_body(1)).status == 200
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    handles = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (handles, hard))
    statuses = set()
    try:
        for number in range(5):
            try:
                statuses.add(call(receiver.port, "POST", SOPOST, sopost_body(
                    order_id=str(uuid.UUID(int=number))), seconds=2).status)  # fmt: skip
            except OSError:
                statuses.add("nobody answers")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert statuses <= {200, 503, "nobody answers"}
    until(lambda: is_taken(receiver, loke_body(2)))
    assert {"01HP1", "01HP2"} <= {row.entity_id for row in stored(ledger)}


def is_taken(running, body):
    """Whether an event is acknowledged; a connection that is dropped is none."""
    try:
        return running.post_loke(body).status == 200
    except OSError:
        return False


@pytest.mark.parametrize("source", ["sopost", "crm-com"])
def test_a_disabled_organisation_and_one_that_is_none_look_alike(receiver, source):  # noqa: F811
    answers = [
        receiver.post(f"/webhooks/{source}/{organisation}/{secret}", sopost_body())
        for organisation, secret in (
            ("nobody", "x"), ("nobody", PATH_SECRET), ("blue", "x"), ("blue", PATH_SECRET),
            ("acme", "wrong"),
        )
    ]  # fmt: skip
    seen = {
        (each.status, each.body, tuple((name, value) for name, value in sorted(
            each.headers.items()) if name.lower() != "date"))
        for each in answers
    }  # fmt: skip
    assert len(seen) == 1
    assert next(iter(seen))[:2] == (404, b"")


def test_a_receiver_that_is_told_to_stop_drains_and_ends_within_ten_seconds(
    receiver,  # noqa: F811
    ledger,  # noqa: F811
):
    acknowledged = []

    def send(first):
        for number in itertools.count(first):
            try:
                if receiver.post_loke(loke_body(number)).status != 200:
                    return
            except OSError:
                return
            acknowledged.append(f"01HP{number}")

    threads = [threading.Thread(target=send, args=(each * 10_000,)) for each in range(4)]
    for each in threads:
        each.start()
    until(lambda: len(acknowledged) > 20)
    started = time.monotonic()
    code, _, _ = receiver.end()
    assert code == 0
    assert time.monotonic() - started < 10
    for each in threads:
        each.join()
    assert set(acknowledged) <= {row.entity_id for row in stored(ledger)}


def test_a_large_inbox_is_never_read_from_end_to_end(tmp_path):
    """What a webhook and a status cost does not grow with what was drained before."""
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(f"sqlite:///{path}", clock=now)) as a_ledger:
        a_ledger.migrate()
        fill(path, 100_000)
        statements = []
        for engine in (a_ledger._database._writer, a_ledger._database._reader):
            event.listen(
                engine,
                "before_cursor_execute",
                lambda *args: statements.append((args[2], args[3])),
            )
        assert a_ledger.inbox.append([received()])[0].is_new
        (row,) = a_ledger.inbox.claim("acme", 10)
        assert a_ledger.inbox.waiting() == {"acme": 1}
        a_ledger.inbox.oldest("acme")
        a_ledger.organisations.status("acme")
        a_ledger.inbox.settle([row.number], "done")
        touched = [each for each in statements if re.search(r"\binbox\b", each[0])]
        with closing(sqlite3.connect(path)) as connection:
            plans = {
                line[3]
                for text, values in touched
                for line in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)
            }
    assert len(touched) >= 5
    assert [
        each for each in plans if re.match(r"SCAN inbox(?! USING (COVERING )?INDEX)", each)
    ] == []


def received():
    from crm_pipeline.store.ledger import Received

    return Received(
        organisation="acme", source="loke", event="customer.updated", entity_id="c",
        dedup="new", body=b"{}", received_at=now(),
    )  # fmt: skip


def fill(path, count):
    """Let an inbox hold that many events of before, all drained."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(inbox)")]
        values = {
            "organisation": "'acme'", "source": "'loke'", "event": "'customer.updated'",
            "entity_id": "'c' || n", "dedup": "'d' || n", "body": "x'7b7d'", "state": "'done'",
        }  # fmt: skip
        columns = [each for each in names if each != "number"]
        chosen = ", ".join(values.get(each, "1") for each in columns)
        connection.execute(
            f"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {count})"
            f" INSERT INTO inbox ({', '.join(columns)}) SELECT {chosen} FROM t"
        )
        connection.commit()
