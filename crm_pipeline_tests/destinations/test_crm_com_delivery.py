"""Whole plans of every kind, through the engine, on a bad network: the wallets tell what happened.

The sandbox keeps every purchase that it is sent, a second one with the same number included.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from crm_pipeline.core.fingerprint import canonical_json, fingerprint
from crm_pipeline.core.purchases import purchase_id, refund_key
from crm_pipeline.core.records import Fields
from crm_pipeline.errors import CredentialsRefusedError, TryLaterError
from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline.sync.apply import ApplyReport, recover_writes
from crm_pipeline.sync.plan import make_plan
from crm_pipeline_tests.sync.workbench import DESIRED, KEY, ORGANISATION, Workbench, contact

PEOPLE = {f"loke:{number}": contact(f"Name {number}") for number in range(4)}
NUMBERS = range(12)
#: 10.00 to 21.00; each awards 5 %.
CENTS = {f"loke:P{number:02}": 1000 + 100 * number for number in NUMBERS}
AWARDED = {key: cents // 20 for key, cents in CENTS.items()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    organisation = SandboxOrganisation(
        id="01HDELIVERY000000000000001", name="Acme", customers=0, crm_test_key=KEY
    )
    with Sandbox(SandboxSettings(organisations=(organisation,))) as started:
        made = Workbench(tmp_path, started)
        made.bring(PEOPLE)
        yield made
        made.ws.ledger.close()


def want(bench: Workbench, object_kind: str, objects: Mapping[str, Fields]) -> None:
    kind = bench.binding.spec.kind(object_kind)
    batch = bench.ws.lake.newest_batch(ORGANISATION, kind.table) + 1
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
    bench.ws.lake.append(
        ORGANISATION, kind.table, pa.RecordBatchReader.from_batches(DESIRED, batches)
    )


def deliver(bench: Workbench, object_kind: str) -> ApplyReport:
    """Plan and apply, as often as a run that could not finish is repeated."""
    for _ in range(8):
        api = bench.connect()
        try:
            recover_writes(bench.ws, ORGANISATION, bench.binding, api)
        except TryLaterError:
            continue
        finally:
            api.close()
        spec = bench.binding.spec
        header = make_plan(
            bench.ws, ORGANISATION, spec, bench.policy, is_full=True, object_kind=object_kind
        )
        try:
            return bench.apply(header)
        except TryLaterError:
            continue
    raise AssertionError("the runs never came to an end")


def payments() -> dict[str, Fields]:
    return {
        key: {
            "reference_number": key,
            "purchase_id": purchase_id(ORGANISATION, key),
            "contact_key": f"loke:{place % 4}",
            "date": 1_763_715_600 + place,
            "currency": "AUD",
            "total": f"{cents // 100}.00",
            "lines": msgspec.json.encode(
                [{"sku": "SKU-1", "quantity": 1, "total_amount": f"{cents // 100}.00"}]
            ).decode(),
        }
        for place, (key, cents) in enumerate(CENTS.items())
    }


def cancels() -> dict[str, Fields]:
    return {
        refund_key(key): {
            "purchase_key": key,
            "kind": "cancel",
            "currency": "AUD",
            "date": 1_763_719_200,
            "reference_number": refund_key(key),
        }
        for key in CENTS
    }


def returns() -> dict[str, Fields]:
    return {
        key: {**fields, "kind": "return", "amount": "4.00"} for key, fields in cancels().items()
    }


def posted(bench: Workbench) -> Counter[str]:
    """Count purchases and returns by reference number."""
    purchases = Desk(bench.sandbox.crm_com, KEY).purchases()
    return Counter(each["reference_number"] for each in purchases)


def wallets(bench: Workbench) -> int:
    """Return the money of all contacts, in cents."""
    desk = Desk(bench.sandbox.crm_com, KEY)
    return sum(desk.balance(key) for key in PEOPLE)


@pytest.mark.parametrize("honoured", ["honoured", "ignored"])
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate", "not_json", "status"])
def test_every_purchase_is_made_once_whatever_the_network_does(
    kind: str, honoured: str, bench: Workbench
) -> None:
    bench.sandbox.crm_com.switch(purchase_id=honoured)
    want(bench, "purchase", payments())
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind=kind, method="POST", times=7, status=503)  # type: ignore[arg-type]
    )
    deliver(bench, "purchase")
    assert posted(bench) == Counter(CENTS.keys())
    assert wallets(bench) == sum(AWARDED.values())
    assert deliver(bench, "purchase").counts["applied"] == 0
    assert wallets(bench) == sum(AWARDED.values())


@pytest.mark.parametrize(
    ("refunds", "left"), [(cancels, 0), (returns, sum(AWARDED.values()) - 20 * len(CENTS))]
)
@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_every_refund_is_made_once_whatever_the_network_does(
    kind: str, refunds: Callable[[], dict[str, Fields]], left: int, bench: Workbench
) -> None:
    want(bench, "purchase", payments())
    deliver(bench, "purchase")
    want(bench, "refund", refunds())
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind=kind, method="POST", times=7)  # type: ignore[arg-type]
    )
    deliver(bench, "refund")
    assert wallets(bench) == left
    deliver(bench, "refund")
    assert wallets(bench) == left


def test_throttled_purchases_are_waited_for(bench: Workbench) -> None:
    want(bench, "purchase", payments())
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=429, method="POST", times=5, retry_after=0)
    )
    assert deliver(bench, "purchase").counts["applied"] == len(CENTS)
    assert posted(bench) == Counter(CENTS.keys())


def test_a_key_that_is_refused_half_way_loses_and_repeats_nothing(bench: Workbench) -> None:
    want(bench, "purchase", payments())
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=401, method="POST", times=None, after=5)
    )
    with pytest.raises(CredentialsRefusedError):
        deliver(bench, "purchase")
    bench.sandbox.crm_com.faults.clear()
    deliver(bench, "purchase")
    assert posted(bench) == Counter(CENTS.keys())
    assert wallets(bench) == sum(AWARDED.values())


def test_a_purchase_of_a_contact_that_is_not_there_waits_for_it(bench: Workbench) -> None:
    one: Fields = {**payments()["loke:P00"], "contact_key": "loke:later"}
    want(bench, "purchase", {"loke:P00": one})
    assert deliver(bench, "purchase").reject_reasons == {"contact_not_in_crm": 1}
    assert posted(bench) == Counter()
    bench.bring({"loke:later": contact("Late")})
    assert deliver(bench, "purchase").counts["applied"] == 1
    assert Desk(bench.sandbox.crm_com, KEY).balance("loke:later") == 50


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_memberships_end_right_whatever_the_network_does(kind: str, bench: Workbench) -> None:
    tags = bench.sandbox.crm_com.configure_tags(["Gold"])
    (gold,) = tags
    wanted: dict[str, Fields] = {
        key: {"contact_key": key, "tags": '["Gold"]', "ours": '["Gold"]'} for key in PEOPLE
    }
    want(bench, "membership", wanted)
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind=kind, method="PUT", times=3)  # type: ignore[arg-type]
    )
    deliver(bench, "membership")
    assert [each["tags"] for each in bench.remote().values()] == [[gold]] * len(PEOPLE)


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "status"])
def test_products_end_right_whatever_the_network_does(kind: str, bench: Workbench) -> None:
    wanted: dict[str, Fields] = {
        f"sku:S{number}": {"sku": f"S{number}", "name": f"Product {number}", "price": "5.50"}
        for number in range(150)
    }
    want(bench, "product", wanted)
    bench.sandbox.crm_com.switch(failing_skus=("S7",))
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind=kind, method="POST", times=2, status=503)  # type: ignore[arg-type]
    )
    report = deliver(bench, "product")
    assert (report.counts["applied"], report.counts["rejected"]) == (149, 1)
    assert len(Shop(bench.sandbox.crm_com, KEY).products()) == 149
