"""Whatever order webhooks arrive in, and however often, the newest landed rows are the same."""

import itertools
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.sources.loke import SOURCE as LOKE
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.land import landed_table
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.sync.conftest import SLUG, START
from crm_pipeline_tests.sync.mailroom import (
    CUSTOMER,
    NOWHERE,
    PAYMENT,
    REFUNDED,
    STORY,
    UPDATED,
    Mailbox,
    binding,
    loke_at,
)

_arrivals = st.lists(st.sampled_from(STORY), max_size=6).flatmap(
    lambda extra: st.permutations([*STORY, *extra])
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrivals=_arrivals, cuts=st.sets(st.integers(1, 9)))
def test_any_order_of_arrival_and_any_repetition_give_the_same(arrivals, cuts, tmp_path_factory):
    assert told(arrivals, cuts, tmp_path_factory.mktemp("arrivals")) == expected()


def test_all_orders_of_four_events_give_the_same(tmp_path_factory):
    for arrivals in itertools.permutations(STORY):
        for cuts in (set(), {1, 2, 3}):
            assert told(arrivals, cuts, tmp_path_factory.mktemp("orders")) == expected()


def expected():
    return {
        "customers": [(CUSTOMER["id"], UPDATED["updatedAt"], False, 5)],
        "payments": [(PAYMENT["id"], "REFUNDED", REFUNDED["refundedAt"], "LOC207")],
    }


def told(arrivals, cuts, folder: Path):
    """Tell a story to an empty workspace, drained after some events, and say what it knows."""
    ledger = Ledger(f"sqlite:///{folder}/ledger.db", clock=lambda: START)
    ledger.migrate()
    ws = Workspace(
        ledger=ledger, lake=Lake(str(folder / "lake"), clock=lambda: START), clock=lambda: START
    )
    with loke_at(NOWHERE, ws.waits) as api:
        source = binding(LOKE, lambda: api, ("customers", "payments"), None)
        mailbox = Mailbox(ws, {"loke": source}, None)
        for place, (event, body) in enumerate(arrivals, 1):
            mailbox.post(event, body)
            if place in cuts:
                mailbox.drain()
        mailbox.drain()
    found = {
        "customers": [
            (row["id"], row["updated_at"], row["has_agreed_to_marketing"], row["points_balance"])
            for row in mailbox.current().values()
        ],
        "payments": [
            (row["id"], row["state"], row["refunded_at"], row["location_id"])
            for row in mailbox.current("payments").values()
        ],
    }
    newest_of_the_last_batch(mailbox)
    ledger.close()
    return found


def newest_of_the_last_batch(mailbox):
    """Whatever landed last of an id is its newest version: resolving new batches relies on it."""
    for dataset in ("customers", "payments"):
        rows = mailbox.ws.lake.scan(SLUG, landed_table("loke", dataset)).read_all().to_pylist()
        last = {row["id"]: row["version_at"] for row in sorted(rows, key=lambda row: row["batch"])}
        assert last == {key: row["version_at"] for key, row in mailbox.current(dataset).items()}
