"""How long nothing was received, and what follows from it."""

from contextlib import closing

import pytest

from crm_pipeline.errors import TryLaterError
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.webhooks.alive import Beat, Health, Heart
from crm_pipeline.wiring.hooks import Hook
from crm_pipeline_tests.store.ledger.samples import Clock

HOOKS = [
    Hook(organisation=slug, source="loke", organisation_id="x", secrets=())
    for slug in ("acme", "blue")
]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", clock=clock)) as found:
        found.migrate()
        yield found


@pytest.fixture
def heart(ledger, clock):
    return Heart(ledger, clock, lambda: HOOKS)


def test_the_first_receiver_of_all_has_nothing_to_catch_up(heart, ledger):
    assert heart.beat() == Beat(away_seconds=None, caught_up=0)
    assert ledger.inbox.waiting() == {}


def test_an_absence_that_senders_outlast_is_no_loss(heart, ledger, clock):
    heart.beat()
    clock.forward(150)
    assert heart.beat() == Beat(away_seconds=150, caught_up=0)
    assert ledger.inbox.waiting() == {}


def test_after_a_longer_one_every_organisation_is_looked_at_anew_once(heart, ledger, clock):
    heart.beat()
    clock.forward(151)
    other = Heart(ledger, clock, lambda: HOOKS)
    assert heart.beat() == Beat(away_seconds=151, caught_up=2)
    assert other.beat() == Beat(away_seconds=0, caught_up=0)
    (row,) = ledger.inbox.claim("acme", 10)
    assert (row.source, row.event, row.entity_id, row.body) == ("loke", "catch-up", "", b"")
    assert ledger.inbox.waiting() == {"acme": 1, "blue": 1}
    clock.forward(151)
    assert heart.beat().caught_up == 2
    assert ledger.inbox.waiting() == {"acme": 2, "blue": 2}


def test_two_receivers_that_come_back_at_once_ask_once(heart, ledger, clock):
    heart.beat()
    clock.forward(1_000)
    since = ledger.stages.position("-", "receiver:alive")
    heart.beat()
    # The other one read the time before the first one wrote it.
    with ledger._database.write() as connection:
        connection.exec_driver_sql(f"UPDATE positions SET position = {since}")
    assert Heart(ledger, clock, lambda: HOOKS).beat().caught_up == 2
    assert ledger.inbox.waiting() == {"acme": 1, "blue": 1}


def test_a_clock_that_goes_back_asks_for_nothing(heart, ledger, clock):
    heart.beat()
    clock.forward(-3_600)
    assert heart.beat().caught_up == 0
    assert ledger.inbox.waiting() == {}


def test_only_a_change_of_health_is_news():
    health = Health()
    trouble = TryLaterError("full")
    assert [health.note(each) for each in (None, trouble, trouble, None)] == [
        False, True, False, True,
    ]  # fmt: skip
    health.note(trouble)
    assert health.problem == "try_later"
    health.note(None)
    assert health.problem == ""
    health.is_stopping = True
    assert health.problem == "stopping"
