"""Voids and returns: everything goes back once."""

import pytest

from crm_pipeline.errors import AnswerLostError
from crm_pipeline.pos import Means, PointOfSale, Return, Spend
from crm_pipeline.pos.refusals import (
    OutcomeUnknownError,
    PosRefusedError,
    PurchaseUnknownError,
    ReferenceTakenError,
    SaleInvalidError,
)
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.pos.conftest import Open, posts, sale_of


def return_of(amount: int = 400, **more: object) -> Return:
    wanted = {
        "reference": "B-1", "amount": amount, "currency": "AUD",
        "buyer": Means(kind="code", value="loke:A"), **more,
    }  # fmt: skip
    return Return(**wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("cancel_by", ["both", "id", "reference_number"])
@pytest.mark.parametrize("ids", ["honoured", "ignored"])
@pytest.mark.parametrize("status", [400, 404])
def test_a_void_takes_the_award_and_gives_the_spend_back_and_twice_is_once(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str,
    cancel_by: str, ids: str, status: int,
) -> None:  # fmt: skip
    sandbox.crm_com.switch(cancel_by=cancel_by, purchase_id=ids, not_found_status=status)
    desk.credit("loke:A", 500)
    posted = pos.purchase(sale_of(), spend=Spend(amount=200))
    first, second = pos.void("R-1"), pos.void("R-1")
    assert (first.id, first.was_there) == (posted.id, False)
    assert (second.id, second.was_there) == (posted.id, True)
    assert desk.balance("loke:A") == 500
    assert pos.void_by_id(posted.id).was_there


def test_a_void_by_id_voids_what_others_posted_too(pos: PointOfSale, desk: Desk) -> None:
    (crm_id,) = desk.add_purchases([{"transaction_amounts": {"total": 5}}])
    assert not pos.void_by_id(crm_id).was_there


@pytest.mark.parametrize("kind", ["cut_after", "not_json", "truncate"])
def test_a_void_whose_answer_is_lost_is_done_when_the_purchase_says_so(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str, kind: str
) -> None:
    pos.purchase(sale_of())
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="POST", path="/cancel"))
    assert not pos.void("R-1").was_there
    assert desk.balance("loke:A") == 0


def test_a_void_that_never_arrived_is_unknown_and_may_be_repeated(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    pos.purchase(sale_of())
    sandbox.crm_com.faults.add(FaultRule(kind="cut_before", method="POST", path="/cancel"))
    with pytest.raises(OutcomeUnknownError, match="Repeat it"):
        pos.void("R-1")
    assert not pos.void("R-1").was_there
    assert desk.balance("loke:A") == 0


def test_a_void_that_crm_com_refuses_is_told(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    pos.purchase(sale_of())
    refusal = FaultRule(kind="status", status=422, method="POST", path="/cancel", times=None)
    sandbox.crm_com.faults.add(refusal)
    with pytest.raises(PosRefusedError, match="not voided"):
        pos.void("R-1")


def test_what_is_not_there_or_is_a_return_cannot_be_voided(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    pos.ad_hoc_return(return_of())
    for act in (
        lambda: pos.void("R-404"),
        lambda: pos.void("B-1"),
        lambda: pos.void_by_id("6e2f83ca-69e9-4ea4-96c5-73a4c641979d"),
        lambda: pos.void_by_id(str(desk.purchases("B-1")[0]["id"])),
    ):
        with pytest.raises(PurchaseUnknownError):
            act()


def test_two_purchases_of_others_under_one_number_are_not_guessed_between(
    pos: PointOfSale, desk: Desk
) -> None:
    body = {"reference_number": "X", "transaction_amounts": {"total": 5}}
    first, second = desk.add_purchases([body, body])
    with pytest.raises(PurchaseUnknownError, match=first):
        pos.void("X")
    pos.void_by_id(first)
    assert pos.void("X").id == second


@pytest.mark.parametrize("mode", ["accept", "refuse", "first"])
@pytest.mark.parametrize("ids", ["honoured", "ignored"])
@pytest.mark.parametrize("is_lost", [False, True])
def test_goods_come_back_once(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str,
    mode: str, ids: str, is_lost: bool,
) -> None:  # fmt: skip
    sandbox.crm_com.switch(duplicate_reference=mode, return_id=ids)
    desk.credit("loke:A", 100)
    if is_lost:
        sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="POST", path="return"))
    first, second = pos.ad_hoc_return(return_of()), pos.ad_hoc_return(return_of())
    assert (first.debited, first.was_there, second.was_there) == (20, False, True)  # 5 % of 4.00
    assert (first.id, first.amount) == (second.id, 400)
    assert (posts(sandbox), desk.balance("loke:A")) == (1, 80)


def test_a_return_that_never_arrived_is_unknown_until_it_is_repeated(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_before", method="POST", path="return"))
    with pytest.raises(OutcomeUnknownError, match="B-1"):
        pos.ad_hoc_return(return_of())
    assert not pos.ad_hoc_return(return_of()).was_there
    assert len(desk.purchases()) == 1


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (return_of(401), "another amount"),
        (return_of(buyer=None), "another contact"),
        (return_of(buyer=Means(kind="code", value="loke:B")), "another contact"),
        (return_of(currency="NZD"), "another currency"),
    ],
)
def test_another_return_under_the_same_reference_is_refused(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str, other: Return, fault: str
) -> None:
    pos.ad_hoc_return(return_of())
    with pytest.raises(ReferenceTakenError, match=fault):
        pos.ad_hoc_return(other)
    assert posts(sandbox) == 1


def test_a_purchase_and_a_return_never_share_a_reference(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, mina: str
) -> None:
    pos.purchase(sale_of(reference="S"))
    pos.ad_hoc_return(return_of(reference="T"))
    with pytest.raises(ReferenceTakenError, match="a purchase"):
        pos.ad_hoc_return(return_of(reference="S"))
    with pytest.raises(ReferenceTakenError, match="a return"):
        pos.purchase(sale_of(reference="T"))
    assert posts(sandbox) == 2


@pytest.mark.parametrize("wanted", [return_of(0), return_of(-1), return_of(reference="")])
def test_a_return_that_is_none_is_refused_at_once(
    sandbox: Sandbox, pos: PointOfSale, wanted: Return
) -> None:
    with pytest.raises(SaleInvalidError):
        pos.ad_hoc_return(wanted)
    assert sandbox.crm_com.requests.entries() == []


def test_a_return_at_a_place_that_is_not_there_is_refused(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    from crm_pipeline.core.purchases import Place

    with pytest.raises(PosRefusedError):
        pos.ad_hoc_return(return_of(place=Place(tap_code="nowhere")))
    assert desk.purchases() == []


def test_a_return_that_is_taken_and_not_shown_is_done_by_its_id(
    sandbox: Sandbox, open_pos: Open, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=404, method="GET", path="/purchases/", after=1, times=None)
    )
    done = open_pos().ad_hoc_return(return_of())
    assert (done.id, done.debited) == (str(desk.purchases()[0]["id"]), None)


def test_a_server_that_cannot_be_read_takes_nothing(
    sandbox: Sandbox, pos: PointOfSale, mina: str
) -> None:
    sandbox.crm_com.faults.add(
        FaultRule(kind="cut_before", method="GET", path="/purchases", times=None)
    )
    with pytest.raises(AnswerLostError):
        pos.ad_hoc_return(return_of())
    assert posts(sandbox) == 0
