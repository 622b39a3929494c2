"""What archiving leaves in the consent log, so that coming back alone opens nothing."""

import datetime as dt
from dataclasses import replace

import pytest

from crm_pipeline.core.consent import decide
from crm_pipeline.core.records import ConsentRecord
from crm_pipeline_tests.sync.workbench import ORGANISATION, Workbench, contact

OPEN = contact(email_opt_out=False)
OTHER = {"loke:2": contact("Other")}


def say_yes(bench: Workbench, key: str, at: dt.datetime) -> None:
    yes = ConsentRecord(key=key, channel="email", is_granted=True, at=at, seen_at=at, origin="loke")
    bench.ws.ledger.consents.append(ORGANISATION, [yes])


def archive(bench: Workbench) -> None:
    bench.policy = replace(bench.policy, on_missing="archive")
    bench.want(OTHER, is_whole=True)
    assert bench.apply(bench.plan(is_full=True)).counts["applied"] == 1


def log(bench: Workbench, key: str) -> list[ConsentRecord]:
    return bench.ws.ledger.consents.of(ORGANISATION, [key]).get(key, [])


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_archive_is_recorded_as_a_no_that_is_not_older_than_any_yes(
    bench: Workbench, hours: int
):
    bench.bring({"loke:1": OPEN, **OTHER})
    say_yes(bench, "loke:1", bench.clock() + dt.timedelta(hours=hours))
    archive(bench)
    assert bench.remote()["loke:1"]["email_opt_out"] is True
    said = log(bench, "loke:1")
    assert [(each.channel, each.is_granted, each.origin) for each in said] == [
        ("email", True, "loke"),
        ("email", False, "crm_com"),
    ]
    assert not decide(said)
    say_yes(bench, "loke:1", bench.clock() + dt.timedelta(hours=2))
    assert decide(log(bench, "loke:1"))


def test_who_had_agreed_to_nothing_gets_no_entry(bench: Workbench):
    bench.bring({"loke:1": OPEN, **OTHER})
    archive(bench)
    assert log(bench, "loke:1") == []
