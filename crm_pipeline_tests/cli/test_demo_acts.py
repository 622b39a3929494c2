"""What the demo lets happen at its vendors: at real fakes, without the pipeline in between."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crm_pipeline.cli.demo import acting
from crm_pipeline.cli.demo.acts import ACTS, LIST_MEMBERS, SLUG, World, titles
from crm_pipeline.cli.demo.day import Day, Following
from crm_pipeline.cli.demo.hooks import tell_crm_com
from crm_pipeline.cli.demo.state import SLUGS, Ports, child_environment, write_files
from crm_pipeline.cli.demo.vendors import Vendors
from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.errors import ConfigurationError, DataError, TryLaterError
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings, demo_organisations
from crm_pipeline_tests.cli.conftest import Run

ORGANISATION: SandboxOrganisation = demo_organisations()[0]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=demo_organisations())) as running:
        yield running


@pytest.fixture
def world(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("STEP_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(f"crm_pipeline.cli.demo.day.{name}", 0.0)
    return World(Vendors(ports_of(sandbox)), lambda _dataset, _row: True)


def ports_of(sandbox: Sandbox) -> Ports:
    urls = sandbox.loke_url, sandbox.crm_com_url, sandbox.sopost_url
    loke, crm_com, sopost = (urlsplit(url).port or 0 for url in urls)
    return Ports(loke=loke, crm_com=crm_com, sopost=sopost, receiver=1, dagster=2)


def hold(sandbox: Sandbox, *customers: str) -> None:
    """Let the fake CRM hold contacts of customers."""
    bodies = [
        {
            "person_name": {"first_name": "A", "last_name": "B"},
            "code": f"loke:{each}",
            "email_opt_out": True,
            "sms_opt_out": True,
        }
        for each in customers
    ]
    sandbox.crm_com.add(SLUG, bodies)


def first_customer(sandbox: Sandbox) -> str:
    return str(sandbox.loke.customers(SLUG)[0]["id"])


def follow(world: World, name: str) -> tuple[Following, list[str], list[str]]:
    """Begin an act and go on until its last step was made."""
    said: list[str] = []
    read: list[str] = []
    following = Following(ACTS[name](world), said.append, read.append)
    while following.last is None or following.last.is_there is None:
        following.move()
    return following, said, read


def test_a_new_customer_has_arrived_when_the_crm_has_the_contact(
    sandbox: Sandbox, world: World
) -> None:
    following, said, _ = follow(world, "new-customer")
    assert not following.move()
    new = sandbox.loke.customers(SLUG)[0]
    hold(sandbox, new["id"])
    assert following.move()
    assert said[-1].endswith(f"after 0 s in the CRM: contact loke:{new['id']}")
    assert new["firstName"] not in "".join(said)


def test_an_act_that_does_not_arrive_is_told_and_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_pipeline.cli.demo.day.PATIENCE_SECONDS", 0.0)
    following, said, _ = follow(world, "new-customer")
    assert following.move()
    assert "not after 0 s in the CRM: contact loke:" in said[-1]
    assert following.arrived_after is None


def test_who_joins_or_leaves_a_list_needs_a_reading_of_lists(
    sandbox: Sandbox, world: World
) -> None:
    hold(sandbox, first_customer(sandbox))
    _, said, read = follow(world, "list-join")
    assert "LOKE tells nobody" in said[0]
    assert read == [LIST_MEMBERS]
    assert first_customer(sandbox) in sandbox.loke.members(SLUG, "VIP breakfast")
    follow(world, "list-leave")


def test_a_sample_is_pending_before_it_is_approved(world: World) -> None:
    following, said, _ = follow(world, "sample")
    assert ["PENDING" in said[0], "APPROVED" in said[1]] == [True, True]
    assert not following.move()


def test_an_order_in_the_crm_has_arrived_when_our_lake_holds_it(
    sandbox: Sandbox, world: World
) -> None:
    hold(sandbox, first_customer(sandbox))
    following, said, _ = follow(world, "crm-order")
    assert following.move()
    assert "in our lake: order" in said[-1]


def test_payment_and_changed_address_wait_for_the_crm(sandbox: Sandbox, world: World) -> None:
    hold(sandbox, first_customer(sandbox))
    for name in ("payment", "changed-email"):
        following, said, _ = follow(world, name)
        assert not following.move()
        assert "@" not in said[0]


def test_what_was_bought_and_reached_the_crm_is_refunded(sandbox: Sandbox, world: World) -> None:
    with pytest.raises(DataError, match="no purchase to refund"):
        next(ACTS["refund"](world))
    paid = sandbox.loke.complete_payment(SLUG, total=500)["id"]
    purchase = {
        "reference_number": f"loke:{paid}",
        "date": 1_714_731_300,
        "currency_code": "AUD",
        "classification": {"name": "LOKE"},
        "transaction_amounts": {"net": 5, "tax": 0, "discount": 0, "total": 5},
        "products": [
            {
                "sku": "FOOD014",
                "name": "Flat white",
                "quantity": 1,
                "net_amount": 5,
                "tax_amount": 0,
                "total_amount": 5,
            }
        ],
    }
    world.vendors.do("crm_com", "purchases/add", organisation=SLUG, purchases=[purchase])
    following, _, _ = follow(world, "refund")
    assert not following.move()
    refunded = sandbox.loke.payment(SLUG, paid)
    assert refunded is not None
    assert refunded["state"] == "REFUNDED"


def test_a_failing_act_is_told_and_the_day_goes_on(world: World) -> None:
    said: list[str] = []
    day = Day(world, said.append, said.append, every=0.0)
    names = list(ACTS)
    for _ in names:
        assert day.move() is False
    assert any("There is no customer in the CRM." in line for line in said)
    assert any("new customer" in line for line in said)


def test_vendors_that_are_gone_are_said_so(sandbox: Sandbox) -> None:
    vendors = Vendors(ports_of(sandbox))
    with pytest.raises(TryLaterError, match="status 400"):
        vendors.do("loke", "payments", organisation="nobody")
    sandbox.stop()
    with pytest.raises(TryLaterError, match="did not do /_sandbox/state"):
        vendors.ask("loke", "state")


def test_crm_com_is_told_where_the_receiver_is(sandbox: Sandbox) -> None:
    ports = ports_of(sandbox)
    tell_crm_com(Vendors(ports), ports)
    url = sandbox.crm_com.business(SLUG).hook_url
    assert url.startswith("http://127.0.0.1:1/webhooks/crm-com/harbour-coffee/")


@pytest.mark.parametrize("slug", SLUGS)
def test_doctor_finds_nothing_wrong_with_the_demo_s_organisations(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], slug: str
) -> None:
    write_files(tmp_path, ports_of(sandbox))
    environ = child_environment({}, tmp_path)
    assert handle_failures(app, ["doctor", slug, "--json"], environ) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each for each in found["findings"] if not each["is_ok"]] == []
    assert {each["check"].split(":")[0] for each in found["findings"]} >= {
        "source loke", "source sopost", "source crm_com", "destination crm_com",
    }  # fmt: skip


def test_every_act_says_what_it_is(run: Run) -> None:
    assert set(titles()) == set(ACTS)
    assert all(titles().values())
    answer = run("demo", "act", "--list")
    assert answer.code == 0
    assert answer.out == acting.list_acts() + "\n"


def test_an_act_needs_a_name_that_is_known_and_a_running_demo(run: Run) -> None:
    for arguments, words in (
        ((), "Say what shall happen"),
        (("nothing",), "There is no act `nothing`"),
        (("payment",), "No demo runs in"),
    ):
        answer = run("demo", "act", *arguments)
        assert (answer.code, words in answer.err) == (78, True)
    with pytest.raises(ConfigurationError):
        acting.run_act("nothing", {})
