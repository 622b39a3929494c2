"""Whole plans through the engine to the classic generation, on a bad network: money moves once.

The sandbox is told to accept a second purchase with the same number, so that a mistake shows.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from crm_pipeline.core.fingerprint import canonical_json, fingerprint
from crm_pipeline.core.ports import DestinationApi, DestinationConnection
from crm_pipeline.core.purchases import refund_key
from crm_pipeline.core.records import Fields
from crm_pipeline.destinations import load_destinations
from crm_pipeline.errors import TryLaterError
from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sync.apply import ApplyReport, recover_writes
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan import make_plan
from crm_pipeline_tests.sync.workbench import DESIRED, KEY, ORGANISATION, Workbench

CODES = [f"+6140000000{number}" for number in range(4)]
#: 10.00 to 21.00; each awards 5 %.
TOTALS = {f"loke:P{number:02}": f"{10 + number}.00" for number in range(12)}
AWARDED = sum(float(total) for total in TOTALS.values()) / 20


class ClassicBench(Workbench):
    """The workbench of the engine's tests, with the other generation behind it."""

    @property
    def binding(self) -> DestinationBinding:
        return dataclasses.replace(super().binding, spec=load_destinations()["crm_com_classic"])

    def connect(self) -> DestinationApi:
        return self.binding.spec.connect(
            DestinationConnection(
                organisation=ORGANISATION,
                base_url=self.sandbox.classic_url,
                api_key=lambda: KEY,
                limits=self.policy.limits,
                waits=self.waits,
                conflict="withhold",
                options={"unit": "Shop 1", "product_definition": "SHOP_SYNC"},
            )
        )

    def bring_objects(self, object_kind: str, objects: Mapping[str, Fields]) -> ApplyReport:
        """Want, plan and apply, as often as a run that could not finish is repeated."""
        kind = self.binding.spec.kind(object_kind)
        rows = [
            {
                "key": key,
                "source_id": key,
                "version_at": self.clock(),
                "fingerprint": fingerprint(fields),
                "fields": canonical_json(fields),
                "issues": [],
                "batch": self.ws.lake.newest_batch(ORGANISATION, kind.table) + 1,
            }
            for key, fields in objects.items()
        ]
        batches = [pa.RecordBatch.from_pylist(rows, schema=DESIRED)]
        reader = pa.RecordBatchReader.from_batches(DESIRED, batches)
        self.ws.lake.append(ORGANISATION, kind.table, reader)
        for _ in range(8):
            try:
                return self._run(object_kind)
            except TryLaterError:
                continue
        raise AssertionError("the runs never came to an end")

    def _run(self, object_kind: str) -> ApplyReport:
        api = self.connect()
        try:
            recover_writes(self.ws, ORGANISATION, self.binding, api)
        finally:
            api.close()
        spec = self.binding.spec
        header = make_plan(
            self.ws, ORGANISATION, spec, self.policy, is_full=True, object_kind=object_kind
        )
        return self.apply(header)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ClassicBench]:
    organisation = SandboxOrganisation(
        id="01HDELIVERY000000000000001", name="Acme", customers=0, crm_test_key=KEY
    )
    with Sandbox(SandboxSettings(organisations=(organisation,))) as started:
        started.classic.switch(duplicate_reference="accept")
        for code in CODES:
            started.classic.add_participant(KEY, [code])
        made = ClassicBench(tmp_path, started)
        yield made
        made.ws.ledger.close()


def payments() -> dict[str, Fields]:
    return {
        key: {
            "reference_number": key,
            "participant": CODES[place % 4],
            "date": 1_763_715_600 + place,
            "currency": "AUD",
            "total": total,
            "net": total,
            "tax": "0.00",
            "classification": "LOKE",
        }
        for place, (key, total) in enumerate(TOTALS.items())
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
        for key in TOTALS
    }


def posted(bench: ClassicBench) -> Counter[str]:
    purchases = bench.sandbox.classic.purchases(KEY)
    return Counter(each["reference_number"] for each in purchases)


def wallets(bench: ClassicBench) -> float:
    return float(sum(each.wallet for each in bench.sandbox.classic.book(KEY).participants))


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate", "not_json", "status"])
def test_every_purchase_is_made_once_whatever_the_network_does(
    kind: str, bench: ClassicBench
) -> None:
    bench.sandbox.classic.faults.add(
        FaultRule(kind=kind, path="purchases/create", times=7, status=503)  # type: ignore[arg-type]
    )
    bench.bring_objects("purchase", payments())
    assert posted(bench) == Counter(TOTALS.keys())
    assert wallets(bench) == pytest.approx(AWARDED)
    assert bench.bring_objects("purchase", payments()).counts["applied"] == 0
    assert posted(bench) == Counter(TOTALS.keys())


def test_a_network_that_breaks_every_third_call_of_any_kind_makes_every_purchase_once(
    bench: ClassicBench,
) -> None:
    for kind in ("cut_before", "cut_after"):
        bench.sandbox.classic.faults.add(
            FaultRule(kind=kind, probability=0.15, times=60)  # type: ignore[arg-type]
        )
    bench.bring_objects("purchase", payments())
    assert posted(bench) == Counter(TOTALS.keys())


def test_a_token_that_ends_under_several_threads_loses_and_repeats_nothing(
    bench: ClassicBench,
) -> None:
    bench.sandbox.classic.faults.add(FaultRule(kind="stale_token", path="create", after=4))
    bench.bring_objects("purchase", payments())
    assert posted(bench) == Counter(TOTALS.keys())


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_every_refund_is_made_once_whatever_the_network_does(
    kind: str, bench: ClassicBench
) -> None:
    bench.bring_objects("purchase", payments())
    bench.sandbox.classic.faults.add(FaultRule(kind=kind, path="cancel", times=7))  # type: ignore[arg-type]
    bench.bring_objects("refund", cancels())
    assert wallets(bench) == 0
    assert bench.bring_objects("refund", cancels()).counts["applied"] == 0
    assert wallets(bench) == 0


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "status"])
def test_products_end_right_whatever_the_network_does(kind: str, bench: ClassicBench) -> None:
    bench.sandbox.classic.faults.add(
        FaultRule(kind=kind, path="synchronise", times=2, status=503)  # type: ignore[arg-type]
    )
    wanted: dict[str, Fields] = {
        f"sku:S{number}": {"sku": f"S{number}", "name": f"Product {number}", "price": "5.50"}
        for number in range(150)
    }
    assert bench.bring_objects("product", wanted).counts["applied"] == 150
    products = bench.sandbox.classic.book(KEY).products
    assert len(products.codes()) == 150
    repriced = {key: {**fields, "price": "6.00"} for key, fields in wanted.items()}
    bench.sandbox.classic.requests.clear()
    assert bench.bring_objects("product", repriced).counts["applied"] == 150
    assert bench.sandbox.classic.requests.count("POST", "/products/synchronise") == 0
