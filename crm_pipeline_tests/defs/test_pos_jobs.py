"""The point of sale in Dagster: once, exact, and without people in run configuration or results."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crm_pipeline.defs.pos_jobs import POS_JOBS
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.defs.support import failures_of

KEY = "crm_test_alfa"
LINES = [{"sku": "SKU-1", "total": "9.00", "quantity": "2"}, {"sku": "SKU-2", "total": "5.50"}]
SALE = {"reference": "R-17", "lines": LINES, "contact": "loke:A"}


@pytest.fixture
def desk(world) -> Desk:
    body = {
        "person_name": {"first_name": "Zoecanaria", "last_name": "Quetzalova"},
        "code": "loke:A",
        "email_address": "zoe@quetzal-mail.example",
    }
    world.sandbox.crm_com.add(KEY, [body])
    return Desk(world.sandbox.crm_com, KEY)


def run(world, name: str, **config: Any) -> dg.ExecuteInProcessResult:
    (op,) = world.definitions.resolve_job_def(name).graph.node_dict
    return world.run_job(name, op, organisation="alfa", **config)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Return the metadata of the run's one output."""
    (output,) = [each for each in result.all_events if each.is_successful_output]
    return {name: each.value for name, each in output.event_specific_data.metadata.items()}


def test_every_field_of_every_job_is_explained_in_the_launchpad() -> None:
    for job in POS_JOBS:
        (node,) = job.graph.node_dict.values()
        fields = node.definition.config_schema.config_type.fields
        assert fields
        assert all(each.description for each in fields.values()), job.name


def test_a_contact_is_identified_by_code_and_shown_by_ids_and_money(world, desk) -> None:
    desk.credit("loke:A", 1234)
    found = told(run(world, "pos_identify_job", contact="loke:A"))
    assert found["contact_code"] == "loke:A"
    (row,) = found["wallet"].records if hasattr(found["wallet"], "records") else found["wallet"]
    assert row.data["total"] == "12.34"


def test_a_purchase_is_posted_once_and_told_in_ids_and_amounts(world, desk) -> None:
    first, second = (told(run(world, "pos_purchase_job", **SALE)) for _ in range(2))
    assert (first["total"], first["award"], first["was_there"]) == ("14.50 AUD", "0.73 AUD", False)
    assert second == {**first, "was_there": True}
    assert desk.balance("loke:A") == 73


def test_a_front_end_purchase_tells_what_is_still_to_be_paid(world, desk) -> None:
    desk.credit("loke:A", 400)
    found = told(run(world, "pos_frontend_purchase_job", **SALE, spend="5.00"))
    assert (found["spend"], found["due"]) == ("4.00 AUD", "10.50 AUD")


def test_a_one_time_password_is_read_from_a_variable(world, desk, monkeypatch) -> None:
    desk.credit("loke:A", 400)
    monkeypatch.setenv("POS_OTP", desk.issue_otp("loke:A").otp)
    sale = {**SALE, "contact": "", "spend": "1.00", "otp_env": "POS_OTP"}
    assert told(run(world, "pos_purchase_job", **sale))["spend"] == "1.00 AUD"
    (message,) = failures_of(
        run(world, "pos_purchase_job", **{**sale, "otp_env": "123456"})
    ).values()
    assert "must be named" in message
    assert "123456" not in message


def test_void_and_return_happen_once(world, desk) -> None:
    run(world, "pos_purchase_job", **SALE)
    assert told(run(world, "pos_void_job", reference="R-17"))["was_there"] is False
    crm_id = told(run(world, "pos_void_job", reference="R-17"))["purchase_id"]
    assert told(run(world, "pos_void_job", purchase_id=crm_id))["was_there"] is True
    back = {"reference": "B-1", "amount": "4.00", "contact": "loke:A"}
    desk.credit("loke:A", 100)
    assert [told(run(world, "pos_return_job", **back))["was_there"] for _ in range(2)] == [
        False,
        True,
    ]
    assert desk.balance("loke:A") == 80
    assert not run(world, "pos_void_job").success


def test_orders_are_completed_guarded_and_cancelled(world, desk) -> None:
    shop = Shop(world.sandbox.crm_com, KEY)
    first, second = (shop.place_order([("SKU-1", 2, 500)], contact="loke:A") for _ in range(2))
    run(world, "pos_purchase_job", **{**SALE, "reference": "O000001"})
    guarded = run(world, "order_complete_job", order_id=first)
    assert "award the same sale again" in "".join(failures_of(guarded).values())
    done = told(run(world, "order_complete_job", order_id=first, is_forced=True))
    assert done["state"] == "COMPLETED"
    cancelled = told(run(world, "order_cancel_job", order_id=second, reason="Shop closed"))
    assert (cancelled["state"], cancelled["reason"]) == ("CANCELLED", "Shop closed")


def test_codes_are_shown_as_texts_and_pictures(world) -> None:
    receipt = {"receipt": "R-17", "merchant": "M1", "venue": "V2", "amount": "14.50"}
    found = told(run(world, "pos_codes_job", **receipt))
    assert (found["qr"], found["barcode"]) == ("R-17;M1;V2;1450", "M1;R-17;1450;V2")
    assert found["qr_picture"].startswith("![qr](data:image/png;base64,")


@pytest.mark.parametrize(
    "contact", ["zoe@quetzal-mail.example", "+61 491 570 006", "0491570006", "(03) 9000-0000"]
)
@pytest.mark.parametrize("job", ["pos_identify_job", "pos_purchase_job", "pos_return_job"])
def test_what_looks_like_an_address_or_a_phone_number_is_refused_without_being_repeated(
    world, desk, job: str, contact: str
) -> None:
    more: dict[str, Any] = {
        "pos_identify_job": {},
        "pos_purchase_job": {"reference": "R-1", "lines": LINES},
        "pos_return_job": {"reference": "B-1", "amount": "4.00"},
    }[job]
    result = run(world, job, **{**more, "contact": contact})
    (message,) = failures_of(result).values()
    assert "kept in clear" in message
    assert contact not in message
    assert world.sandbox.crm_com.requests.entries() == []


def test_a_lost_answer_ends_red_and_says_to_run_it_again(world, desk) -> None:
    world.sandbox.crm_com.faults.add(
        FaultRule(kind="cut_before", method="POST", path="/purchases$")
    )
    (message,) = failures_of(run(world, "pos_purchase_job", **SALE)).values()
    assert "same reference, R-17" in message
    assert run(world, "pos_purchase_job", **SALE).success
    assert len(desk.purchases()) == 1


class TestPrivacy:
    """What Dagster keeps in files."""

    @pytest.fixture
    def open_instance(self, tmp_path: Path):
        return lambda: dg.DagsterInstance.local_temp(str(tmp_path / "dagster"))

    def test_no_person_key_or_password_reaches_dagsters_store(
        self, world, desk, monkeypatch
    ) -> None:
        otp = desk.issue_otp("loke:A").otp
        monkeypatch.setenv("POS_OTP", otp)
        run(world, "pos_identify_job", contact="loke:A")
        run(world, "pos_frontend_purchase_job", **{**SALE, "otp_env": "POS_OTP", "spend": "1"})
        run(world, "pos_purchase_job", **{**SALE, "reference": "R-18", "otp_env": "POS_OTP"})
        Shop(world.sandbox.crm_com, KEY).place_order([("SKU-1", 1, 500)], contact="loke:A")
        needles = [b"Zoecanaria", b"Quetzalova", b"quetzal-mail", KEY.encode()]
        hits = [
            (path.name, needle)
            for path in world.dagster_home.rglob("*")
            if path.is_file()
            for needle in needles
            if needle in path.read_bytes()
        ]
        assert hits == []
