"""Faults around consent: whoever said no stays out, and every no arrives."""

import datetime as dt
import json

import pytest

from crm_pipeline.core.records import ConsentRecord
from crm_pipeline.errors import TryLaterError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sync.resolve import resolve_contacts
from crm_pipeline_tests.sync.conftest import SLUG
from crm_pipeline_tests.sync.mailroom import CUSTOMER
from crm_pipeline_tests.sync.workbench import contact

BOTH_OUT, BOTH_IN = (True, True), (False, False)


def opt_outs(row):
    return row["email_opt_out"], row["sms_opt_out"]


def desired(ws, key, *, is_full=False):
    """Work contacts out and return one person's opt-outs."""
    resolve_contacts(ws, SLUG, desired.rules, is_full=is_full)
    rows = ws.lake.current(SLUG, "desired/contacts", "key").read_all().to_pylist()
    fields = {row["key"]: json.loads(row["fields"]) for row in rows}
    return opt_outs(fields[key])


@pytest.fixture(autouse=True)
def _rules(desk):
    desired.rules = desk.resolving


def say(desk, row_id, answer, **more):
    desk.change(ids=[row_id], fields={"hasAgreedToMarketing": answer, **more})


def refuse_in_the_crm(desk, row_id):
    """Record an opt-out that a read-back found in the CRM."""
    desk.clock.turn(seconds=1)
    now = desk.clock()
    desk.ws.ledger.consents.append(
        SLUG,
        [
            ConsentRecord(
                key=f"loke:{row_id}", channel=each, is_granted=False, at=now, seen_at=now,
                origin="crm_com",
            )
            for each in ("email", "sms")
        ],
    )  # fmt: skip


def test_who_opted_out_in_the_crm_stays_out_whatever_is_synced_afterwards(make_product):
    product = make_product(acme=6)
    loke, crm = product.sandbox.loke, product.sandbox.crm_com
    organisation = product.sandbox.settings.organisations[0]
    people = [each["id"] for each in loke.customers(organisation.id)]
    loke.mutate(organisation.id, ids=people, fields={"hasAgreedToMarketing": True})
    assert product.run_here("sync", "--org", "acme").code == 0
    codes = {f"loke:{each}" for each in people[:3]}
    ids = [each["id"] for each in contacts(product) if each["code"] in codes]
    crm.mutate(organisation.crm_test_key, ids=ids,
               fields={"email_opt_out": True, "sms_opt_out": True})  # fmt: skip
    loke.mutate(organisation.id, ids=people[:1], fields={"firstName": "Before"})
    assert product.run_here("sync", "--org", "acme").code == 0
    assert product.run_here("verify", "--org", "acme").code == 65
    loke.mutate(organisation.id, ids=people, fields={"firstName": "After"})
    for options in ((), ("--full",), ("--full",)):
        assert product.run_here("sync", "--org", "acme", *options).code == 0
        out = {each["code"] for each in contacts(product) if opt_outs(each) == BOTH_OUT}
        assert out == codes
    assert {each["first_name"] for each in contacts(product)} == {"After"}


def contacts(product):
    key = product.sandbox.settings.organisations[0].crm_test_key
    return product.sandbox.crm_com.contacts(key)


def test_a_no_and_a_yes_between_two_pulls_bring_nobody_back(desk):
    row_id = next(iter(desk.at_source()))
    say(desk, row_id, True)
    desk.pull()
    assert desired(desk.ws, f"loke:{row_id}") == BOTH_IN
    refuse_in_the_crm(desk, row_id)
    for answer in (False, True, False, True):
        say(desk, row_id, answer, firstName=f"Told {answer}")
    desk.pull()
    assert desired(desk.ws, f"loke:{row_id}") == BOTH_OUT
    desk.pull("sweep")
    assert desired(desk.ws, f"loke:{row_id}", is_full=True) == BOTH_OUT


def test_a_yes_that_was_seen_by_itself_after_the_no_opens_again(desk):
    row_id = next(iter(desk.at_source()))
    say(desk, row_id, True)
    desk.pull()
    desired(desk.ws, f"loke:{row_id}")
    refuse_in_the_crm(desk, row_id)
    seen = []
    for answer in (False, True):
        say(desk, row_id, answer)
        desk.pull()
        seen.append(desired(desk.ws, f"loke:{row_id}"))
    assert seen == [BOTH_OUT, BOTH_IN]


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_a_yes_and_a_no_of_one_moment_end_as_no(desk, mailbox, order):
    """Two webhooks of one time: what LOKE says when it is asked decides, and a no closes."""
    customer = {**desk.sandbox.loke.customers(SLUG)[2]}
    say(desk, customer["id"], False)
    told = desk.at_source()[customer["id"]]
    for answer in order:
        mailbox.post("customer.updated", {"customer": {**told, "hasAgreedToMarketing": answer}})
    mailbox.drain()
    assert desired(desk.ws, f"loke:{customer['id']}") == BOTH_OUT


@pytest.mark.parametrize("value", [None, "yes", "true", "false", 1, 0, [], [True], {"email": True}])
def test_what_is_no_plain_true_at_loke_opens_nothing(desk, value):
    people = list(desk.at_source())[:4]
    for row_id in people:
        say(desk, row_id, True)
    desk.pull()
    assert desired(desk.ws, f"loke:{people[0]}") == BOTH_IN
    for row_id in people:
        say(desk, row_id, value)
    desk.pull()
    assert {desired(desk.ws, f"loke:{row_id}") for row_id in people} == {BOTH_OUT}
    assert desired(desk.ws, f"loke:{people[0]}", is_full=True) == BOTH_OUT


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "cut_before", "times": 5},
        {"kind": "cut_after", "times": 5},
        {"kind": "truncate", "times": 5},
        {"kind": "not_json", "times": 5},
        {"kind": "status", "status": 429, "retry_after": 0, "times": 5},
        {"kind": "status", "status": 503, "times": 5},
    ],
    ids=lambda rule: f"{rule['kind']}-{rule.get('status', '')}",
)
def test_every_created_contact_carries_its_flags_also_after_a_retry(bench, rule):
    """The CRM opts in whoever comes without flags."""
    wanted = {f"loke:{number}": contact(email_opt_out=number % 3 != 0) for number in range(12)}
    bench.sandbox.crm_com.faults.add(FaultRule(method="POST", path="/contacts", **rule))
    assert bench.bring(wanted).counts["applied"] == 12
    found = {code: opt_outs(each) for code, each in bench.remote().items()}
    assert found == {code: opt_outs(each) for code, each in wanted.items()}


def test_an_opt_out_passes_everything_that_waits(bench):
    people = {f"loke:{number:03}": contact(email_opt_out=False) for number in range(60)}
    bench.bring(people)
    changed = {key: contact(f"New {key}", email_opt_out=False) for key in people}
    changed["loke:059"] = contact("New", email_opt_out=True)
    states = []
    add = bench.sandbox.crm_com.requests.add

    def noted(entry):
        add(entry)
        if entry.method == "PUT":
            states.append(bench.remote()["loke:059"]["email_opt_out"])

    bench.sandbox.crm_com.requests.add = noted
    bench.bring(changed)
    assert len(states) == 60
    # Four calls may be on their way at once.
    assert all(states[4:])


def test_an_opt_out_while_the_crm_is_down_is_kept_until_it_arrives(bench):
    bench.bring({"loke:1": contact(email_opt_out=False)})
    bench.sandbox.crm_com.faults.add(FaultRule(kind="cut_before", times=None))
    bench.want({"loke:1": contact(email_opt_out=True)})
    for _ in range(3):
        with pytest.raises(TryLaterError):
            bench.apply(bench.plan())
    assert bench.ws.ledger.rejects.list("acme") == []
    assert bench.ws.ledger.organisations.status("acme").outbox_pending == 1
    assert bench.remote()["loke:1"]["email_opt_out"] is False
    bench.sandbox.crm_com.faults.clear()
    bench.apply(bench.plan())
    assert bench.remote()["loke:1"]["email_opt_out"] is True


def test_an_old_yes_that_is_replayed_brings_nobody_back(alone):
    yes = {"customer": {**CUSTOMER, "hasAgreedToMarketing": True}}
    no = {
        "customer": {
            **CUSTOMER, "hasAgreedToMarketing": False, "updatedAt": "2026-11-20T10:05:00Z"
        }
    }  # fmt: skip
    key = f"loke:{CUSTOMER['id']}"
    alone.post("customer.created", yes)
    alone.drain()
    assert desired(alone.ws, key) == BOTH_IN
    alone.post("customer.updated", no)
    alone.drain()
    assert desired(alone.ws, key) == BOTH_OUT
    alone.ws.ledger.inbox.purge(alone.clock() + dt.timedelta(days=400))
    for event in ("customer.created", "customer.updated"):
        alone.post(event, yes)
        alone.drain()
        assert desired(alone.ws, key) == BOTH_OUT
        assert desired(alone.ws, key, is_full=True) == BOTH_OUT


def test_an_old_yes_that_was_set_aside_and_is_tried_again_brings_nobody_back(alone, monkeypatch):
    """A parked webhook is landed long after a newer no."""
    from crm_pipeline.sync.drain import draining

    def broken(*_args, **_more):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(draining, "land_hook_rows", broken)
        alone.post("customer.created", {"customer": CUSTOMER})
        for _ in range(40):
            alone.drain()
            alone.clock.turn(hours=2)
    assert alone.reject_reasons() == {"bug:ZeroDivisionError": 1}
    newer = {**CUSTOMER, "hasAgreedToMarketing": False, "updatedAt": "2026-11-20T10:05:00Z"}
    alone.post("customer.updated", {"customer": newer})
    alone.drain()
    key = f"loke:{CUSTOMER['id']}"
    assert desired(alone.ws, key) == BOTH_OUT
    assert alone.ws.ledger.inbox.retry(SLUG) == 1
    assert alone.drain().settled == 1
    assert desired(alone.ws, key) == BOTH_OUT
    assert desired(alone.ws, key, is_full=True) == BOTH_OUT
