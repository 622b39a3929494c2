"""Plans as text: readable, complete, without a person's data."""

import datetime as dt

from crm_pipeline.core.records import GuardVerdict, PlanHeader
from crm_pipeline.core.render import plan_json, plan_markdown, summary

HEADER = PlanHeader(
    digest="0123456789abcdef0123456789abcdef",
    organisation="harbour-coffee",
    destination="crm_com",
    object_kind="contact",
    created_at=dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
    base=7,
    desired_batch=3,
    counts={"create": 3, "update": 25, "archive": 0, "unchanged": 5_000},
    field_counts={"email": 20},
    reason_counts={"source_changed": 25, "new": 3},
    consent_widened=1,
    guards=(
        GuardVerdict(guard="updates", passed=True, message="25 (no limit)."),
        GuardVerdict(guard="source", passed=False, message="the source is empty."),
    ),
    estimated_calls=28,
    estimated_seconds=1.4,
    mapping_version="m1",
    is_full=True,
)


def test_the_summary_names_every_kind():
    assert summary(HEADER) == "3 to create, 25 to update, 0 to archive, 5,000 unchanged"


def test_the_markdown_shows_counts_guards_fields_and_reasons():
    text = plan_markdown(HEADER)
    assert text.startswith("**Plan `0123456789ab`** for harbour-coffee in crm_com: 3 to create")
    assert "About 28 calls, 1 s." in text
    assert "| source | **stopped**: the source is empty. |" in text
    assert "| email | 20 |" in text
    assert "| source_changed | 25 |" in text


def test_an_empty_plan_has_no_empty_tables():
    empty = PlanHeader(
        **{name: getattr(HEADER, name) for name in HEADER.__slots__}
        | {"counts": {}, "field_counts": {}, "reason_counts": {}}
    )
    text = plan_markdown(empty)
    assert "| Field |" not in text
    assert "| Reason |" not in text


def test_the_json_form_says_the_size_and_whether_a_guard_stopped_it():
    document = plan_json(HEADER)
    assert (document["size"], document["is_guarded"]) == (28, True)
    assert document["guards"][1]["message"] == "the source is empty."
    assert document["created_at"] == "2026-01-02T03:04:00+00:00"
