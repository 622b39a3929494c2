"""What belongs to an object that is not in the CRM yet waits, and goes with the first plan after.

Every plan here is incremental: nobody has to look at everything for it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from crm_pipeline.core.fingerprint import canonical_json, fingerprint
from crm_pipeline.core.purchases import purchase_id, refund_key
from crm_pipeline.core.records import Fields, PlanHeader
from crm_pipeline.core.subject import Subject
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sync.apply import ApplyReport
from crm_pipeline.sync.plan import iter_changes, make_plan
from crm_pipeline_tests.sync.workbench import DESIRED, KEY, ORGANISATION, Workbench, contact

LATER = "loke:later"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    organisation = SandboxOrganisation(id="01HWAITING", name="Acme", crm_test_key=KEY)
    with Sandbox(SandboxSettings(organisations=(organisation,))) as started:
        made = Workbench(tmp_path, started)
        made.bring({"loke:here": contact("Here")})
        yield made
        made.ws.ledger.close()


def purchase(key: str, contact_key: str) -> Fields:
    return {
        "reference_number": key,
        "purchase_id": purchase_id(ORGANISATION, key),
        "contact_key": contact_key,
        "date": 1_750_000_000,
        "currency": "AUD",
        "total": "10.00",
        "net": "10.00",
        "tax": "0.00",
        "classification": "LOKE",
        "lines": "[]",
    }


def refund(key: str, contact_key: str) -> Fields:
    return {
        "purchase_key": key,
        "kind": "cancel",
        "currency": "AUD",
        "date": 1_750_000_060,
        "reference_number": refund_key(key),
        "contact_key": contact_key,
    }


def want(bench: Workbench, object_kind: str, objects: Mapping[str, Fields]) -> None:
    table = bench.binding.spec.kind(object_kind).table
    batch = bench.ws.lake.newest_batch(ORGANISATION, table) + 1
    rows = [
        {
            "key": key,
            "source_id": key,
            "version_at": bench.clock(),
            "fingerprint": fingerprint(fields),
            "fields": canonical_json(fields),
            "issues": [],
            "batch": batch,
        }
        for key, fields in objects.items()
    ]
    batches = [pa.RecordBatch.from_pylist(rows, schema=DESIRED)]
    reader = pa.RecordBatchReader.from_batches(DESIRED, batches)
    bench.ws.lake.append(ORGANISATION, table, reader)


def plan(bench: Workbench, object_kind: str) -> PlanHeader:
    spec = bench.binding.spec
    return make_plan(
        bench.ws, ORGANISATION, spec, bench.policy, is_full=False, object_kind=object_kind
    )


def deliver(bench: Workbench, object_kind: str) -> ApplyReport:
    return bench.apply(plan(bench, object_kind))


def sell(bench: Workbench) -> None:
    """One purchase of somebody who is there and one of somebody who is not, both brought back."""
    sold = {"loke:A": purchase("loke:A", "loke:here"), "loke:B": purchase("loke:B", LATER)}
    want(bench, "purchase", sold)
    back = {refund_key(key): refund(key, str(each["contact_key"])) for key, each in sold.items()}
    want(bench, "refund", back)


def test_a_purchase_goes_once_its_contact_is_there_however_many_syncs_later(bench: Workbench):
    sell(bench)
    first = deliver(bench, "purchase")
    assert (first.counts["applied"], first.reject_reasons) == (1, {"contact_not_in_crm": 1})
    assert deliver(bench, "refund").reject_reasons == {"purchase_not_in_crm": 1}
    for _ in range(2):
        assert plan(bench, "purchase").size == plan(bench, "refund").size == 0
    bench.bring({LATER: contact("Late")})
    header = plan(bench, "purchase")
    assert not header.is_full
    assert [change.key for change in iter_changes(bench.ws, header)] == ["loke:B"]
    assert bench.apply(header).counts["applied"] == 1
    assert deliver(bench, "refund").counts["applied"] == 1
    desk = Desk(bench.sandbox.crm_com, KEY)
    assert [each["state"] for each in desk.purchases()] == ["CANCELLED"] * 2
    assert desk.balance(LATER) == 0
    assert bench.ws.ledger.rejects.list(ORGANISATION) == []
    assert plan(bench, "purchase").size == plan(bench, "refund").size == 0


def test_of_what_waits_the_newest_version_goes(bench: Workbench):
    bench.sandbox.crm_com.configure_tags(["Gold", "Silver"])
    ours: Fields = {"tags": '["Gold"]', "ours": '["Gold","Silver"]'}
    want(bench, "membership", {"loke:here": {"contact_key": "loke:here", **ours}})
    assert deliver(bench, "membership").counts["applied"] == 1
    for tag in ("Gold", "Silver"):
        tags: Fields = {"contact_key": LATER, "tags": f'["{tag}"]', "ours": '["Gold","Silver"]'}
        want(bench, "membership", {LATER: tags})
        assert deliver(bench, "membership").reject_reasons == {"contact_not_in_crm": 1}
    bench.bring({LATER: contact("Late")})
    assert deliver(bench, "membership").counts["applied"] == 1
    names = bench.sandbox.crm_com.tags
    assert [names[tag] for tag in bench.remote()[LATER]["tags"]] == ["Silver"]


def test_what_waits_goes_also_when_somebody_was_erased_just_before(bench: Workbench):
    """Nothing but the refusal happened since: the second plan has to be another one."""
    bench.sandbox.crm_com.configure_tags(["Gold"])
    bench.ws.ledger.erasing.remove(ORGANISATION, Subject(), {}, [])
    tags: Fields = {"contact_key": LATER, "tags": '["Gold"]', "ours": '["Gold"]'}
    want(bench, "membership", {LATER: tags})
    assert deliver(bench, "membership").reject_reasons == {"contact_not_in_crm": 1}
    bench.bring({LATER: contact("Late")})
    assert deliver(bench, "membership").counts["applied"] == 1
    assert len(bench.remote()[LATER]["tags"]) == 1


def test_what_is_refused_for_another_reason_is_not_tried_again_by_itself(bench: Workbench):
    bad: Fields = {**purchase("loke:C", "loke:here"), "total": "no number"}
    want(bench, "purchase", {"loke:A": purchase("loke:A", "loke:here"), "loke:C": bad})
    counts = deliver(bench, "purchase").counts
    assert (counts["applied"], counts["rejected"]) == (1, 1)
    assert plan(bench, "purchase").size == 0
