"""Faults on the way into the CRM: money once, exact, and nobody's data on somebody else."""

import datetime as dt
import itertools
import json
import threading
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.normalise import exponent_of
from crm_pipeline.core.purchases import PurchaseRules, map_payment
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sync.apply import apply_plan
from crm_pipeline_tests.acceptance.trading import trading
from crm_pipeline_tests.destinations.test_crm_com_delivery import (
    AWARDED,
    CENTS,
    PEOPLE,
    deliver,
    payments,
    posted,
    wallets,
    want,
)
from crm_pipeline_tests.sync.workbench import KEY, contact


@pytest.fixture
def till(bench):
    """A bench whose people are in the CRM, with time-outs that a slow answer exceeds."""
    bench.waits = replace(bench.waits, timeout_seconds=0.3, settle_seconds=0.6)
    bench.ws = replace(bench.ws, waits=bench.waits)
    bench.bring(PEOPLE)
    return bench


@pytest.mark.parametrize("honoured", ["honoured", "ignored"])
def test_a_purchase_that_arrives_after_we_gave_up_waiting_counts_once(till, honoured):
    till.sandbox.crm_com.switch(purchase_id=honoured)
    want(till, "purchase", payments())
    till.sandbox.crm_com.faults.add(
        FaultRule(kind="delay", delay_ms=450, method="POST", path="/purchases", times=4)
    )
    deliver(till, "purchase")
    assert posted(till) == Counter(CENTS.keys())
    assert wallets(till) == sum(AWARDED.values())


@pytest.mark.parametrize("honoured", ["honoured", "ignored"])
def test_a_list_that_lags_behind_its_writes_doubles_nothing(till, honoured):
    """Shorter than the settle time, which is what it is for."""
    till.sandbox.crm_com.switch(purchase_id=honoured, purchase_lag_seconds=0.3)
    want(till, "purchase", payments())
    till.sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="POST", times=6))
    deliver(till, "purchase")
    assert posted(till) == Counter(CENTS.keys())
    assert wallets(till) == sum(AWARDED.values())


def test_a_refund_of_a_sale_that_we_never_sent_refunds_nothing(shop):
    """It was sold and brought back before the first sync: both happen, once each."""
    organisation = shop.organisation.id
    person = shop.loke.create_customer(organisation)["id"]
    sold = shop.loke.complete_payment(organisation, customer=person, total=5_000)
    shop.clock.later(60)
    shop.loke.refund(organisation, sold["id"])
    shop.clock.later(60)
    for options in ((), (), ("--full",)):
        shop.sync(*options)
        assert shop.wrong() == []
    events = Counter(each["event"] for each in shop.desk.journals())
    assert events == {"AWARD": 1, "CANCELLATION": 1}


def test_payments_of_before_the_go_live_award_nobody(tmp_path):
    with trading(tmp_path, customers=15, payments=60) as shop:
        organisation = shop.organisation.id
        soon = shop.clock() + dt.timedelta(minutes=2)
        change_file(shop, purchases={"go_live": soon.isoformat()})
        for options in ((), ("--full",)):
            shop.sync(*options)
        assert (shop.desk.purchases(), shop.desk.journals()) == ([], [])
        shop.clock.later(600)
        person = shop.loke.customers(organisation)[0]["id"]
        sold = shop.loke.complete_payment(organisation, customer=person, total=2_000)
        shop.sync()
        shop.sync("--full")
        numbers = [each["reference_number"] for each in shop.desk.purchases()]
        assert numbers == [f"loke:{sold['id']}"]


def test_no_payment_is_sent_unless_the_file_says_so(tmp_path):
    with trading(tmp_path, customers=5, payments=20) as shop:
        change_file(shop, purchases=None)
        path = shop.product.config / f"{shop.slug}.yaml"
        document = yaml.safe_load(path.read_text())
        del document["purchases"], document["destinations"]["crm_com"]["sends"]
        document["lists"] = []
        path.write_text(yaml.safe_dump(document))
        shop.sync("--full")
        assert len(shop.crm.contacts(shop.organisation.crm_test_key)) == 5
        assert (shop.desk.purchases(), shop.desk.journals()) == ([], [])


def change_file(shop, **changes):
    path = shop.product.config / f"{shop.slug}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


CURRENCIES = ("JPY", "AUD", "EUR", "BHD", "KWD", "CLF")


@given(
    currency=st.sampled_from(CURRENCIES),
    totals=st.lists(
        st.one_of(st.integers(1, 10**9), st.just(2**53 + 1), st.just(1)), min_size=1, max_size=6
    ),
    part=st.integers(1, 10**6),
    rate=st.sampled_from([None, Decimal("0.1"), Decimal("0.24")]),
)
def test_what_goes_in_comes_out_to_the_unit_in_every_currency(currency, totals, part, rate):
    rules, scale = PurchaseRules(tax_rate=rate), Decimal(1).scaleb(exponent_of(currency))
    sold, lines, returned = Decimal(0), Decimal(0), Decimal(0)
    for number, total in enumerate(totals):
        mapped = map_payment(payment(number, total, currency, min(part, total)), rules, "acme")
        fields = mapped.purchase
        sold += Decimal(fields["total"])
        assert Decimal(fields["net"]) + Decimal(fields["tax"]) == Decimal(fields["total"])
        lines += sum(Decimal(line["total_amount"]) for line in json.loads(fields["lines"]))
        if mapped.refund["kind"] == "return":
            returned += Decimal(mapped.refund["amount"])
        else:
            returned += Decimal(fields["total"])
    assert sold * scale == lines * scale == sum(totals)
    assert returned * scale == sum(min(part, total) for total in totals)


def payment(number, total, currency, refunded):
    return {
        "id": f"p-{number}",
        "state": "REFUNDED" if refunded == total else "COMPLETED",
        "completed_at": "2026-05-06T22:10:11Z",
        "refunded_at": "2026-05-07T22:10:11Z",
        "refunded_amount": refunded,
        "currency": currency,
        "total": total,
        "location_id": None,
        "customer_id": "01C",
        "customer": None,
        "items": json.dumps([{"id": "F1", "name": "Flat white", "amount": total // 3}]),
    }


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"total": 0}, "no_value"),
        ({"total": -1}, "total_negative"),
        ({"total": None}, "total_missing"),
        ({"currency": "XXY"}, "currency_unknown"),
        ({"currency": None}, "currency_unknown"),
        ({"currency": ""}, "currency_unknown"),
    ],
)
def test_an_amount_without_a_sure_meaning_is_never_sent(changes, outcome):
    row = {**payment(1, 100, "AUD", 100), **changes}
    mapped = map_payment(row, PurchaseRules(), "acme")
    assert (mapped.purchase, mapped.refund) == (None, None)
    assert outcome in (mapped.skipped, mapped.rejected)


@pytest.mark.parametrize("order", list(itertools.permutations(("gives", "gets"))))
@pytest.mark.parametrize("together", [True, False])
def test_an_address_that_moves_is_at_no_moment_on_two_people(bench, order, together):
    """Whoever is heard of first, the new owner gets it only after the old one gave it up."""
    mail = "moves@example.com"
    bench.bring({"loke:1": contact("Old", email=mail), "loke:2": contact("New")})
    seen = []
    add = bench.sandbox.crm_com.requests.add

    def noted(entry):
        add(entry)
        remote = bench.remote()
        seen.append((remote["loke:1"].get("email"), remote["loke:2"].get("email")))

    bench.sandbox.crm_com.requests.add = noted
    steps = {"gives": {"loke:1": contact("Old")}, "gets": {"loke:2": contact("New", email=mail)}}
    if together:
        bench.bring({**steps[order[0]], **steps[order[1]]})
    else:
        for step in order:
            bench.bring(steps[step])
    assert seen[-1] == (None, mail)
    assert all(pair.count(mail) <= 1 for pair in seen)
    assert {code: each["first_name"] for code, each in bench.remote().items()} == {
        "loke:1": "Old",
        "loke:2": "New",
    }


def test_a_slow_crm_gets_no_more_calls_at_once_than_agreed(bench):
    lock, working, most = threading.Lock(), 0, 0
    bench.sandbox.crm_com.faults.add(FaultRule(kind="delay", delay_ms=30, times=None))
    bench.want({f"loke:{number}": contact(f"N {number}") for number in range(40)})
    header, api = bench.plan(), bench.connect()
    write = api.write

    def counted(changes):
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        try:
            return write(changes)
        finally:
            with lock:
                working -= 1

    api.write = counted
    try:
        report = apply_plan(bench.ws, "acme", bench.binding, api, header)
    finally:
        api.close()
    assert report.counts["applied"] == 40
    assert 1 < most <= bench.policy.limits.concurrency


@pytest.mark.parametrize(
    "name",
    ["花子", "Zoë", "Ngọc", "Мария", "مريم", "👩‍👩‍👧 Ana", "O'Brien-Łuk", "a" * 300, "x" * 5_000,
     "-"],
    ids=["Japanese", "accent", "Vietnamese", "Cyrillic", "Arabic", "emoji", "hyphen", "300",
         "5000", "placeholder"],
)  # fmt: skip
def test_a_name_of_any_script_and_length_arrives_whole_or_is_refused(bench, name):
    report = bench.bring({"loke:1": contact(name, last_name=name), "loke:2": contact("Other")})
    if report.counts["rejected"]:
        assert set(bench.remote()) == {"loke:2"}
        assert report.reject_reasons.keys() <= {"invalid_value"}
    else:
        found = bench.remote()["loke:1"]
        assert (found["first_name"], found["last_name"]) == (name, name)
    assert bench.remote()["loke:2"]["first_name"] == "Other"


def test_another_mapping_is_planned_for_everybody_and_touches_no_consent(make_product):
    product = make_product(acme=30)
    key = product.sandbox.settings.organisations[0].crm_test_key
    assert product.run_here("sync", "--org", "acme").code == 0
    before = opt_outs(product.sandbox.crm_com.contacts(key))
    path = product.config / "acme.yaml"
    document = yaml.safe_load(path.read_text())
    document["mapping"] = {"last_name": {"from": "id"}}
    document["destinations"]["crm_com"]["guards"] = {"max_update_share": None}
    path.write_text(yaml.safe_dump(document))
    assert product.run_here("sync", "--org", "acme").code == 0
    after = product.sandbox.crm_com.contacts(key)
    assert {each["code"]: each["last_name"] for each in after} == {
        code: code.removeprefix("loke:") for code in before
    }
    assert product.sandbox.crm_com.requests.count("PUT") == 30
    assert opt_outs(after) == before


def opt_outs(contacts):
    return {each["code"]: (each["email_opt_out"], each["sms_opt_out"]) for each in contacts}


def test_two_customers_of_one_address_are_two_contacts_of_which_one_has_it(bench):
    mail = "both@example.com"
    bench.bring({"loke:1": contact("One", email=mail), "loke:2": contact("Two", email=mail)})
    assert [each.get("email") for _, each in sorted(bench.remote().items())] == [mail, None]
    assert bench.plan(is_full=True).size == 0
    assert Desk(bench.sandbox.crm_com, KEY).purchases() == []
