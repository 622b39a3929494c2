"""What every destination must say and do about every kind of object that it holds.

Run over all that discovery finds, against the sandbox twin of each. A new kind needs a sample.
"""

import datetime as dt
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from crm_pipeline.core.ports import (
    DestinationApi,
    DestinationConnection,
    DestinationSpec,
    ObjectKind,
)
from crm_pipeline.core.records import CHANGE_KINDS, Change, Fields, Limits, WriteResult
from crm_pipeline.destinations import load_destinations
from crm_pipeline.errors import ConfigurationError, CredentialsRefusedError
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.destinations.conftest import KEY, MINA, ORGANISATION, WAITS
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer, free_url

PHONE = "+61400000001"

#: One whole desired object of each kind: key, fields, and the CRM's ids of what it refers to.
SAMPLES: Mapping[str, tuple[str, Fields, Mapping[str, str]]] = {
    "contact": ("loke:A", MINA, {}),
    "membership": (
        "loke:A",
        {"contact_key": "loke:A", "tags": '["Newsletter"]', "ours": '["Newsletter"]'},
        {"contact_key": "00000000-0000-4000-8000-000000000001"},
    ),
    "product": ("sku:SKU-1", {"sku": "SKU-1", "name": "Flat white", "family": "Coffee"}, {}),
    "purchase": (
        "loke:P1",
        {
            "reference_number": "loke:P1",
            "purchase_id": "5f6f2f0e-9c8b-5f9d-8a61-0c5a3f6f7b11",
            "participant": PHONE,
            "date": 1_777_803_300,
            "currency": "AUD",
            "total": "10.00",
            "net": "8.40",
            "tax": "1.60",
            "classification": "LOKE",
            "lines": '[{"sku":"SKU-1","name":"Flat white","quantity":2,"net_amount":"8.40",'
            '"tax_amount":"1.60","total_amount":"10.00"}]',
        },
        {},
    ),
    "refund": (
        "loke:P1:refund",
        {
            "purchase_key": "loke:P1",
            "kind": "cancel",
            "currency": "AUD",
            "date": 1_777_803_400,
            "reference_number": "loke:P1:refund",
        },
        {"purchase_key": "00000000-0000-4000-8000-000000000002"},
    ),
}

#: Where the sandbox twin of each destination is, and the settings that it needs.
TWINS: Mapping[str, Callable[[Sandbox], str]] = {
    "crm_com": lambda sandbox: sandbox.crm_com_url,
    "crm_com_classic": lambda sandbox: sandbox.classic_url,
}
OPTIONS = {"unit": "Shop 1", "product_definition": "SHOP_SYNC", "key_prefix": "loke:"}


@dataclass(frozen=True)
class Bench:
    """One kind of one destination, and how to connect."""

    spec: DestinationSpec
    kind: ObjectKind
    connect: Callable[..., DestinationApi]

    def change(self) -> Change:
        """Return the creation of the kind's sample."""
        key, fields, references = SAMPLES[self.kind.name]
        return Change(
            seq=1,
            lane=1,
            kind="create",
            object_kind=self.kind.name,
            key=key,
            crm_id=None,
            before=None,
            after=fields,
            changed=tuple(fields),
            reason="new",
            fingerprint="f",
            version_at=dt.datetime(2026, 5, 3, tzinfo=dt.UTC),
            references=references,
        )

    def write(self, api: DestinationApi) -> WriteResult:
        """Try the creation once."""
        (result,) = api.write([self.change()])
        return result


KINDS = {
    f"{name}-{kind.name}": (spec, kind)
    for name, spec in sorted(load_destinations().items())
    for kind in spec.kinds
}


@pytest.fixture
def twins(running: Sandbox) -> Sandbox:
    running.crm_com.reset()
    running.classic.reset()
    running.classic.add_participant(ORGANISATION.slug, [PHONE])
    return running


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, twins: Sandbox) -> Iterator[Bench]:
    spec, kind = KINDS[request.param]
    opened: list[DestinationApi] = []

    def connect(*, key: str = KEY, url: str = "") -> DestinationApi:
        api = spec.connect(
            DestinationConnection(
                organisation=ORGANISATION.slug,
                base_url=url or TWINS[spec.name](twins),
                api_key=lambda: key,
                limits=Limits(),
                waits=WAITS,
                conflict="withhold",
                options=OPTIONS,
            )
        )
        opened.append(api)
        return api

    yield Bench(spec, kind, connect)
    for api in opened:
        api.close()


@pytest.fixture(params=sorted(load_destinations()))
def spec(request: pytest.FixtureRequest) -> DestinationSpec:
    return load_destinations()[request.param]


@pytest.mark.parametrize("name", KINDS)
def test_every_field_is_described_and_every_cost_is_known(name: str) -> None:
    _, kind = KINDS[name]
    assert all(field.description.endswith(".") for field in kind.fields.values())
    assert {field: each.name for field, each in kind.fields.items()} == {
        field: field for field in kind.fields
    }
    assert "create" in kind.calls_for
    assert set(kind.calls_for) <= set(CHANGE_KINDS)
    assert kind.batch_size >= 1


@pytest.mark.parametrize("name", KINDS)
def test_a_person_has_opt_outs_and_nothing_else_has(name: str) -> None:
    _, kind = KINDS[name]
    assert any(field.is_opt_out for field in kind.fields.values()) == (kind.name == "contact")


def test_kinds_have_their_own_tables_and_refer_to_kinds_that_go_before_them(
    spec: DestinationSpec,
) -> None:
    assert len({kind.table for kind in spec.kinds}) == len(spec.kinds)
    before: set[str] = set()
    for kind in spec.kinds:
        assert kind.table.startswith("desired/")
        assert set(kind.references) <= set(kind.fields)
        assert set(kind.references.values()) <= before
        before.add(kind.name)


def test_a_sample_uses_documented_fields_only() -> None:
    """A destination may leave out what it has no use for, but one of them must know each field."""
    for name, (_, fields, references) in SAMPLES.items():
        held = [kind for _, kind in KINDS.values() if kind.name == name]
        assert held
        assert set(fields) <= {field for kind in held for field in kind.fields}
        assert all(set(kind.references) >= set(references) for kind in held)


def test_an_object_that_was_never_written_is_not_there(bench: Bench) -> None:
    assert bench.connect().find(bench.kind.name, bench.change().key) is None


def test_an_object_of_another_kind_is_a_mistake_of_ours(bench: Bench) -> None:
    api = bench.connect()
    with pytest.raises(ValueError, match="spaceship"):
        api.find("spaceship", "loke:A")


def test_no_connection_surely_did_nothing(bench: Bench) -> None:
    result = bench.write(bench.connect(url=free_url()))
    assert (result.status, result.reason) == ("retry", "unreachable")


def test_a_refused_key_stops_the_whole_destination_and_is_not_told(bench: Bench) -> None:
    secret = KEY + "-x"
    with pytest.raises(CredentialsRefusedError) as caught:
        bench.write(bench.connect(key=secret))
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_redirect_stops_the_whole_destination(bench: Bench) -> None:
    with (
        ScriptedServer(answer(307, Location="https://evil.example/")) as server,
        pytest.raises(ConfigurationError),
    ):
        bench.write(bench.connect(url=server.url))


def test_a_failing_server_never_makes_a_write_acknowledged_or_rejected(
    bench: Bench, twins: Sandbox
) -> None:
    api = bench.connect()
    rule = FaultRule(kind="status", status=503, content="html", times=None)
    twins.crm_com.faults.add(rule)
    twins.classic.faults.add(rule)
    assert bench.write(api).status in ("unknown", "retry")


PURCHASES = [name for name, (_, kind) in KINDS.items() if kind.name == "purchase"]


@pytest.mark.parametrize("bench", PURCHASES, indirect=True)
@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_purchase_whose_answer_was_lost_is_looked_up_by_any_process(
    kind: str, bench: Bench, twins: Sandbox
) -> None:
    rule = FaultRule(kind=kind, method="POST", path="/purchases(/create)?$")  # type: ignore[arg-type]
    twins.crm_com.faults.add(rule)
    twins.classic.faults.add(rule)
    assert bench.write(bench.connect()).status == "unknown"
    found = bench.connect().find("purchase", bench.change().key)
    assert (found is None) == (kind == "cut_before")
    if found is None:
        assert bench.write(bench.connect()).status == "acked"
    assert bench.connect().find("purchase", bench.change().key) is not None
