"""Purchases at a till: money moves once, exactly, whatever the network and the vendor do."""

import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.core.purchases import Place, purchase_id
from crm_pipeline.errors import SourceUnstableError, ThrottledError
from crm_pipeline.pos import Means, PointOfSale, Sale, SaleLine, Spend
from crm_pipeline.pos.amounts import amount_due, parse_amount, show_amount
from crm_pipeline.pos.refusals import (
    ContactUnknownError,
    OtpRefusedError,
    OutcomeUnknownError,
    PosRefusedError,
    ReferenceTakenError,
    SaleInvalidError,
    WalletTooSmallError,
)
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.pos.conftest import ORGANISATION, Open, posts, sale_of

LOST = FaultRule(kind="cut_after", method="POST", path="/purchases$")
NEVER_ARRIVED = FaultRule(kind="cut_before", method="POST", path="/purchases$")


def purchases_of(desk: Desk) -> Sequence[str]:
    return [str(each["id"]) for each in desk.purchases()]


# -- back end --------------------------------------------------------------------------------------


def test_a_purchase_is_itemised_exact_and_awarded_once(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    posted = pos.purchase(sale_of(999, 451, classification="Coffee bar", discount=50))
    assert posted.id == purchase_id(ORGANISATION.slug, "pos:R-1")
    assert (posted.total, posted.award, posted.spend) == (1450, 73, 0)  # 5 % of 14.50, half up
    assert (posted.contact_id, posted.was_there) == (mina, False)
    assert desk.balance("loke:A") == 73
    (shown,) = desk.purchases("R-1")
    sums = {name: str(value) for name, value in shown["transaction_amounts"].items()}
    assert sums == {"net": "13.06", "tax": "1.44", "discount": "0.50", "total": "14.50"}
    assert [str(line["total_amount"]) for line in shown["products"]] == ["9.99", "4.51"]
    assert [str(line["tax_amount"]) for line in shown["products"]] == ["0.99", "0.45"]
    assert shown["classification"]["name"] == "Coffee bar"
    assert shown["date"] == 1_763_719_200
    assert shown["organisation"]["id"] == desk.business.outlets[0].id


def test_a_purchase_lands_at_the_organisation_or_the_terminal_that_was_named(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    second = desk.business.outlets[2]
    pos.purchase(sale_of(reference="A", place=Place(organisation_id=second.id)))
    pos.purchase(sale_of(reference="B", place=Place(tap_code=second.tap_code)))
    assert [each["organisation"]["id"] for each in desk.purchases()] == [second.id, second.id]
    with pytest.raises(PosRefusedError):
        pos.purchase(sale_of(reference="C", place=Place(tap_code="no-such-tap")))


def test_nobodys_purchase_waits_for_its_claim_and_is_still_the_same_sale_after_it(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    anonymous = sale_of(buyer=None)
    posted = pos.purchase(anonymous)
    assert (posted.contact_id, posted.award) == (None, 0)
    with sandbox.crm_com.lock:
        found = desk.business.purchases.find(posted.id)
        assert found is not None
        desk.business.purchases.give_to(found, mina)
    again = pos.purchase(anonymous)
    assert (again.was_there, again.contact_id) == (True, mina)
    assert len(desk.purchases()) == 1


@pytest.mark.parametrize("kind", ["email", "loyalty", "cim", "phone", "wallet", "id"])
def test_a_buyer_may_be_named_by_every_means(
    pos: PointOfSale, desk: Desk, mina: str, kind: str
) -> None:
    values = {
        "email": "mina@example.com",
        "loyalty": "100000001908",
        "cim": "100000001908",
        "phone": "+61400000001",
        "wallet": str(desk.wallet("loke:A")["code"]),
        "id": mina,
    }
    buyer = Means(kind=kind, value=values[kind])  # type: ignore[arg-type]
    assert pos.purchase(sale_of(buyer=buyer)).contact_id == mina
    assert desk.balance("loke:A") == 73


def test_a_currency_without_decimals_and_one_with_three_stay_exact(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.switch(exchange_rates={"JPY": "0.01", "KWD": "5"})
    yen = pos.purchase(sale_of(1450, reference="Y", currency="JPY"))
    dinar = pos.purchase(sale_of(1450, reference="K", currency="KWD"))
    totals = [str(each["transaction_amounts"]["total"]) for each in desk.purchases()]
    assert totals == ["1450", "1.450"]
    assert (yen.award, dinar.award) == (73, 36)  # 5 % of 14.50 AUD and of 7.25 AUD
    assert {yen.wallet_currency, dinar.wallet_currency} == {"AUD"}
    assert pos.purchase(sale_of(1450, reference="K", currency="KWD")).was_there


# -- once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["accept", "refuse", "first"])
@pytest.mark.parametrize("ids", ["honoured", "ignored"])
def test_a_sale_that_is_submitted_again_is_found_and_not_posted_again(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str, mode: str, ids: str
) -> None:
    sandbox.crm_com.switch(duplicate_reference=mode, purchase_id=ids)
    first, second = pos.purchase(sale_of()), pos.purchase(sale_of())
    assert (first.was_there, second.was_there) == (False, True)
    assert replace(second, was_there=False) == first
    assert (posts(sandbox), len(desk.purchases()), desk.balance("loke:A")) == (1, 1, 73)


@pytest.mark.parametrize("mode", ["accept", "refuse", "first"])
@pytest.mark.parametrize("ids", ["honoured", "ignored"])
def test_a_purchase_whose_answer_is_lost_is_found_again(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str, mode: str, ids: str
) -> None:
    sandbox.crm_com.switch(duplicate_reference=mode, purchase_id=ids)
    desk.credit("loke:A", 500)
    sandbox.crm_com.faults.add(LOST)
    posted = pos.purchase(sale_of(), spend=Spend(amount=200))
    assert (posted.award, posted.spend, posted.was_there) == (73, 200, False)
    assert pos.purchase(sale_of(), spend=Spend(amount=200)).id == posted.id
    assert (posts(sandbox), desk.balance("loke:A")) == (1, 500 + 73 - 200)


@pytest.mark.parametrize("kind", ["truncate", "not_json"])
def test_a_purchase_whose_answer_is_rubbish_is_found_again(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str, kind: str
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="POST", path="/purchases$"))
    assert pos.purchase(sale_of()).award == 73
    assert (posts(sandbox), desk.balance("loke:A")) == (1, 73)


def test_what_never_arrived_is_unknown_until_it_is_repeated_with_the_same_reference(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.faults.add(NEVER_ARRIVED)
    with pytest.raises(OutcomeUnknownError, match="same reference, R-1") as caught:
        pos.purchase(sale_of())
    assert caught.value.exit_code == 75
    assert desk.purchases() == []
    assert pos.purchase(sale_of()).award == 73
    assert desk.balance("loke:A") == 73


def test_a_lost_answer_with_nobody_to_ask_is_unknown_and_found_by_the_next_try(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    down = FaultRule(kind="status", status=503, method="GET", path="/purchases", after=2, times=20)
    sandbox.crm_com.faults.add(LOST, down)
    with pytest.raises(OutcomeUnknownError):
        pos.purchase(sale_of())
    sandbox.crm_com.faults.clear()
    assert pos.purchase(sale_of()).was_there
    assert (posts(sandbox), desk.balance("loke:A")) == (1, 73)


def test_a_server_that_asks_to_slow_down_did_nothing_so_it_is_asked_again(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    busy = FaultRule(kind="status", status=429, method="POST", path="/purchases$", times=2)
    sandbox.crm_com.faults.add(busy)
    assert not pos.purchase(sale_of()).was_there
    sandbox.crm_com.faults.clear()
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=429, method="POST", path="/purchases$", times=None)
    )
    with pytest.raises(ThrottledError):
        pos.purchase(sale_of(reference="R-2"))
    assert desk.balance("loke:A") == 73


def test_a_list_that_cannot_be_searched_stops_a_purchase_before_it_is_sent(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.make_purchases(2_100)
    sandbox.crm_com.switch(purchase_search="ignored")
    with pytest.raises(SourceUnstableError, match="searched"):
        pos.purchase(sale_of())
    assert posts(sandbox) == 0


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (sale_of(1449), "another total"),
        (sale_of(buyer=Means(kind="code", value="loke:B")), "another contact"),
        (sale_of(currency="NZD"), "another currency"),
    ],
)
@pytest.mark.parametrize("mode", ["accept", "refuse", "first"])
@pytest.mark.parametrize("ids", ["honoured", "ignored"])
def test_another_sale_under_the_same_reference_is_refused(
    sandbox: Sandbox,
    pos: PointOfSale,
    desk: Desk,
    mina: str,
    other: Sale,
    fault: str,
    mode: str,
    ids: str,
) -> None:
    sandbox.crm_com.switch(duplicate_reference=mode, purchase_id=ids)
    pos.purchase(sale_of())
    with pytest.raises(ReferenceTakenError, match=fault):
        pos.purchase(other)
    assert (posts(sandbox), desk.balance("loke:B")) == (1, 0)


def test_a_reference_that_sync_posted_is_not_posted_by_a_till(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    body = {"reference_number": "loke:P1", "contact": {"id": mina},
            "transaction_amounts": {"total": 14.5}}  # fmt: skip
    desk.add_purchases([body])
    assert pos.purchase(sale_of(reference="loke:P1")).was_there
    with pytest.raises(ReferenceTakenError):
        pos.purchase(sale_of(1000, reference="loke:P1"))
    assert (posts(sandbox), len(desk.purchases())) == (0, 1)


def test_a_race_that_the_vendor_refuses_ends_in_the_purchase_that_is_there(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    """Another process posts it between our look and our call: the search shows it too late."""
    sandbox.crm_com.switch(
        duplicate_reference="refuse", purchase_id="ignored", purchase_lag_seconds=3600
    )
    pos.purchase(sale_of())
    with pytest.raises(OutcomeUnknownError):
        pos.purchase(sale_of())
    sandbox.crm_com.switch(purchase_lag_seconds=0)
    assert pos.purchase(sale_of()).was_there
    assert (len(desk.purchases()), desk.balance("loke:A")) == (1, 73)


def test_many_threads_with_one_reference_post_it_once(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda: done.append(pos.purchase(sale_of()).was_there))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, *[True] * 7]
    assert (len(desk.purchases()), desk.balance("loke:A")) == (1, 73)


def test_two_processes_take_turns_by_what_was_passed_in(open_pos: Open, mina: str) -> None:
    held: list[str] = []

    @contextmanager
    def hold(name: str):  # type: ignore[no-untyped-def]
        held.append(name)
        yield

    pos = open_pos(hold=hold)
    pos.purchase(sale_of())
    pos.void("R-1")
    assert held == ["R-1", "R-1"]


def test_a_sale_that_was_voided_is_not_posted_again_under_its_reference(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    pos.purchase(sale_of())
    pos.void("R-1")
    with pytest.raises(ReferenceTakenError, match="voided"):
        pos.purchase(sale_of())
    assert desk.balance("loke:A") == 0


# -- one-time passwords ----------------------------------------------------------------------------


def test_a_one_time_password_identifies_and_spends_once(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.credit("loke:A", 500)
    otp = desk.issue_otp("loke:A").otp
    posted = pos.purchase(sale_of(buyer=None), otp=otp, spend=Spend(amount=300))
    assert (posted.spend, posted.award) == (300, 73)
    assert desk.balance("loke:A") == 500 - 300 + 73
    with pytest.raises(OtpRefusedError) as caught:
        pos.purchase(sale_of(buyer=None, reference="R-2"), otp=otp, spend=Spend(amount=100))
    assert otp not in str(caught.value)
    again = pos.purchase(sale_of(buyer=None), otp=otp, spend=Spend(amount=300))
    assert (again.id, again.was_there) == (posted.id, True)
    assert len(desk.purchases()) == 1


def test_a_wrong_or_old_password_posts_nothing(pos: PointOfSale, desk: Desk, mina: str) -> None:
    old = desk.issue_otp("loke:A", life_seconds=0).otp
    for otp in ("000000", old):
        with pytest.raises(OtpRefusedError):
            pos.purchase(sale_of(buyer=None), otp=otp, spend=Spend(amount=100))
    assert desk.purchases() == []


def test_a_lost_answer_to_a_password_is_found_although_the_password_is_used(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.credit("loke:A", 500)
    sandbox.crm_com.faults.add(LOST)
    otp = desk.issue_otp("loke:A").alternative
    posted = pos.purchase(sale_of(), otp=otp, spend=Spend(amount=500))
    assert (posted.spend, posted.contact_id, posted.was_there) == (500, mina, False)
    assert desk.balance("loke:A") == 73


def test_a_password_of_another_contact_leaves_no_trace_in_either_wallet(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.credit("loke:B", 900)
    otp = desk.issue_otp("loke:B").otp
    with pytest.raises(OtpRefusedError, match="another contact"):
        pos.check_out(sale_of(), otp=otp, spend=Spend(amount=300))
    assert (desk.balance("loke:A"), desk.balance("loke:B")) == (0, 900)
    assert [each["state"] for each in desk.purchases()] == ["CANCELLED"]


def test_a_password_never_voids_a_purchase_that_was_there(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    pos.purchase(sale_of(buyer=Means(kind="code", value="loke:B")))
    otp = desk.issue_otp("loke:A").otp
    with pytest.raises(ReferenceTakenError):
        pos.check_out(sale_of(), otp=otp)
    assert [each["state"] for each in desk.purchases()] == ["POSTED"]


def test_a_void_that_fails_after_a_foreign_password_is_told(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=500, method="POST", path="/cancel", times=None)
    )
    with pytest.raises(OutcomeUnknownError, match="pos void --id"):
        pos.purchase(sale_of(), otp=desk.issue_otp("loke:B").otp)


# -- front end -------------------------------------------------------------------------------------


def test_what_the_wallet_gives_is_not_paid_again(pos: PointOfSale, desk: Desk, mina: str) -> None:
    desk.credit("loke:A", 1000)
    checkout = pos.check_out(sale_of(), spend=Spend(amount=400))
    assert (checkout.posted.spend, checkout.due) == (400, 1050)
    assert checkout.contact is not None
    assert checkout.contact.wallet is not None
    assert checkout.contact.wallet.balances[0].total == 1000
    assert desk.balance("loke:A") == 1000 - 400 + 73
    again = pos.check_out(sale_of(), spend=Spend(amount=400))
    assert (again.due, again.posted.was_there) == (1050, True)


@pytest.mark.parametrize(
    ("held", "asked", "spent"), [(150, 400, 150), (5000, 2000, 1450), (0, 400, 0)]
)
def test_no_more_is_spent_than_the_wallet_holds_and_the_sale_is_worth(
    pos: PointOfSale, desk: Desk, mina: str, held: int, asked: int, spent: int
) -> None:
    desk.credit("loke:A", held)
    checkout = pos.check_out(sale_of(), spend=Spend(amount=asked))
    assert (checkout.posted.spend, checkout.due) == (spent, 1450 - spent)


def test_a_spend_that_must_be_covered_is_all_or_nothing(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.credit("loke:A", 399)
    with pytest.raises(WalletTooSmallError):
        pos.check_out(sale_of(), spend=Spend(amount=400, must_be_covered=True))
    assert (desk.purchases(), desk.balance("loke:A")) == ([], 399)
    desk.credit("loke:A", 1)
    assert pos.check_out(sale_of(), spend=Spend(amount=400, must_be_covered=True)).due == 1050


def test_a_lost_answer_does_not_change_what_is_due(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.credit("loke:A", 300)
    sandbox.crm_com.faults.add(LOST)
    assert pos.check_out(sale_of(), spend=Spend(amount=400)).due == 1150


def test_an_answer_without_the_spend_is_completed_by_reading_the_purchase(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    desk.credit("loke:A", 300)
    sandbox.crm_com.switch(purchase_id="ignored")
    assert pos.check_out(sale_of(), spend=Spend(amount=400)).due == 1150


def test_a_front_end_purchase_in_another_currency_is_refused_before_anything_is_sent(
    sandbox: Sandbox, pos: PointOfSale, mina: str
) -> None:
    with pytest.raises(SaleInvalidError, match="AUD"):
        pos.check_out(sale_of(currency="NZD"), spend=Spend(amount=100))
    assert posts(sandbox) == 0


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    totals=st.lists(st.integers(0, 10**7), min_size=1, max_size=5),
    held=st.integers(0, 10**7),
    asked=st.integers(1, 10**7),
)
def test_paid_and_spent_are_always_the_total_and_the_wallet_loses_exactly_the_spend(
    sandbox: Sandbox, pos: PointOfSale, totals: list[int], held: int, asked: int
) -> None:
    sandbox.crm_com.reset()
    sandbox.crm_com.add(ORGANISATION.crm_test_key, [
        {"person_name": {"first_name": "Mina", "last_name": "Okafor"}, "code": "loke:A"}
    ])  # fmt: skip
    desk = Desk(sandbox.crm_com, ORGANISATION.crm_test_key)
    desk.credit("loke:A", held)
    checkout = pos.check_out(sale_of(*totals), spend=Spend(amount=asked))
    spend, award = checkout.posted.spend, checkout.posted.award
    assert spend is not None
    assert award is not None
    assert checkout.due + spend == sum(totals)
    assert spend == min(asked, held, sum(totals))
    assert desk.balance("loke:A") == held - spend + award


@given(total=st.integers(0, 10**12), share=st.floats(0, 1))
def test_what_is_due_is_exact(total: int, share: float) -> None:
    spend = int(total * share)
    assert amount_due(total, spend) + spend == total


@pytest.mark.parametrize(("total", "spend"), [(100, 101), (100, -1)])
def test_a_spend_outside_of_the_total_is_refused(total: int, spend: int) -> None:
    with pytest.raises(PosRefusedError):
        amount_due(total, spend)


@given(units=st.integers(0, 10**13), currency=st.sampled_from(["AUD", "JPY", "KWD"]))
def test_an_amount_that_is_shown_is_read_back_the_same(units: int, currency: str) -> None:
    text = show_amount(units, currency)
    if len(text.partition(".")[0]) <= 12:
        assert parse_amount(text, currency) == units


@pytest.mark.parametrize("text", ["14.505", "1,450", "-1", "", "1e3", " 1", "NaN", "14.5 AUD"])
def test_an_amount_that_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(SaleInvalidError, match=r"14\.50"):
        parse_amount(text, "AUD")


# -- what is refused at once -----------------------------------------------------------------------

LINE = SaleLine(sku="A", total=100)


@pytest.mark.parametrize(
    "sale",
    [
        sale_of(reference=""),
        sale_of(reference="R 1 "),
        sale_of(reference="mina@example.com"),
        sale_of(reference="R" * 101),
        sale_of(currency="aud"),
        sale_of(lines=()),
        sale_of(lines=(replace(LINE, sku=" "),)),
        sale_of(lines=(replace(LINE, total=-1),)),
        sale_of(lines=(replace(LINE, tax=101),)),
        sale_of(lines=(replace(LINE, tax=-1),)),
        sale_of(lines=(replace(LINE, quantity=Decimal(0)),)),
        sale_of(lines=(replace(LINE, quantity=Decimal("NaN")),)),
        sale_of(date=1_763_719_200_000),
        sale_of(discount=-1),
        sale_of(classification=" "),
    ],
)
def test_a_sale_that_contradicts_itself_is_refused_before_anything_is_sent(
    sandbox: Sandbox, pos: PointOfSale, sale: Sale
) -> None:
    with pytest.raises(SaleInvalidError):
        pos.purchase(sale)
    assert sandbox.crm_com.requests.entries() == []


@pytest.mark.parametrize("spend", [Spend(amount=0), Spend(amount=-5)])
def test_a_spend_is_above_nothing(pos: PointOfSale, mina: str, spend: Spend) -> None:
    with pytest.raises(SaleInvalidError):
        pos.purchase(sale_of(), spend=spend)


def test_nobodys_wallet_cannot_pay(pos: PointOfSale) -> None:
    with pytest.raises(SaleInvalidError, match="Nobody"):
        pos.purchase(sale_of(buyer=None), spend=Spend(amount=100))


def test_a_buyer_that_crm_com_does_not_know_posts_nothing(
    sandbox: Sandbox, pos: PointOfSale, mina: str
) -> None:
    unknown = "6e2f83ca-69e9-4ea4-96c5-73a4c641979d"
    for buyer in (Means(kind="code", value="loke:Z"), Means(kind="id", value=unknown)):
        with pytest.raises(ContactUnknownError):
            pos.purchase(sale_of(buyer=buyer))
