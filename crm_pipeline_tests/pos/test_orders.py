"""Orders: completed once, never awarded twice, cancelled for a reason that CRM.COM knows."""

import pytest

from crm_pipeline.pos import PointOfSale
from crm_pipeline.pos.refusals import (
    OrderGuardedError,
    OrderUnknownError,
    OutcomeUnknownError,
    PosRefusedError,
)
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.pos.conftest import posts, sale_of

ACTIONS = "/orders/.*/actions"


@pytest.fixture
def order_id(shop: Shop, desk: Desk, mina: str) -> str:
    desk.credit("loke:A", 100)
    return shop.place_order([("SKU-1", 2, 500)], contact="loke:A", wallet_funds=100)


@pytest.mark.parametrize("form", ["new", "old"])
def test_an_order_is_shown_with_its_lines_and_amounts(
    sandbox: Sandbox, pos: PointOfSale, order_id: str, mina: str, form: str
) -> None:
    sandbox.crm_com.switch(order_form=form)
    order = pos.order(order_id)
    assert (order.number, order.state, order.contact_id) == ("O000001", "NEW", mina)
    assert (order.total, order.wallet_funds, order.amount_due) == (1000, 100, 900)
    assert [(each.sku, each.quantity) for each in order.items if form == "new"] in (
        [("SKU-1", "2")],
        [],
    )
    assert pos.orders() != []


def test_orders_are_listed_newest_first_by_state_over_pages(
    pos: PointOfSale, shop: Shop, mina: str
) -> None:
    ids = [shop.place_order([("SKU-1", 1, 500)]) for _ in range(120)]
    pos.complete_order(ids[0])
    assert [each.id for each in pos.orders(state="COMPLETED")] == [ids[0]]
    assert [each.id for each in pos.orders(state="NEW", limit=110)] == ids[:9:-1]
    assert len(pos.orders(limit=500)) == 120
    assert pos.orders(state="ON_HOLD") == []


def test_an_order_is_completed_and_awarded_once(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str
) -> None:
    first, second = pos.complete_order(order_id), pos.complete_order(order_id)
    assert (first.state, first.was_there, second.was_there) == ("COMPLETED", False, True)
    assert (posts(sandbox, "/actions"), desk.balance("loke:A")) == (1, 50)


def test_a_completion_whose_answer_is_lost_is_looked_at(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="PUT", path=ACTIONS))
    assert not pos.complete_order(order_id).was_there
    assert (posts(sandbox, "/actions"), desk.balance("loke:A")) == (1, 50)


def test_a_completion_that_never_arrived_is_unknown_and_may_be_repeated(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_before", method="PUT", path=ACTIONS))
    with pytest.raises(OutcomeUnknownError):
        pos.complete_order(order_id)
    assert not pos.complete_order(order_id).was_there
    assert desk.balance("loke:A") == 50


@pytest.mark.parametrize("is_by_id", [True, False])
def test_an_order_that_was_posted_as_a_purchase_is_not_completed_unless_forced(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str, is_by_id: bool
) -> None:
    pos.purchase(sale_of(1000, reference=order_id if is_by_id else "O000001"))
    with pytest.raises(OrderGuardedError, match="award the same sale again"):
        pos.complete_order(order_id)
    assert (posts(sandbox, "/actions"), desk.balance("loke:A")) == (0, 50)
    assert pos.complete_order(order_id, is_forced=True).state == "COMPLETED"


def test_an_order_whose_purchase_was_voided_can_be_completed(
    pos: PointOfSale, desk: Desk, order_id: str
) -> None:
    pos.purchase(sale_of(1000, reference="O000001"))
    pos.void("O000001")
    pos.complete_order(order_id)
    assert desk.balance("loke:A") == 50


def test_a_completed_order_is_not_posted_as_a_purchase(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str
) -> None:
    pos.complete_order(order_id)
    with pytest.raises(OrderGuardedError, match="never both"):
        pos.purchase(sale_of(1000, reference=order_id))
    assert (desk.purchases(), desk.balance("loke:A")) == ([], 50)


@pytest.mark.parametrize("is_by_name", [True, False])
def test_an_order_is_cancelled_for_a_reason_by_name_or_id_and_the_wallet_gets_its_money_back(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str, is_by_name: bool
) -> None:
    ids = {name: each for each, name in pos.cancellation_reasons().items()}
    reason = "shop CLOSED" if is_by_name else ids["Shop closed"]
    first, second = pos.cancel_order(order_id, reason), pos.cancel_order(order_id, reason)
    assert (first.state, first.reason, first.was_there) == ("CANCELLED", "Shop closed", False)
    assert second.was_there
    assert desk.balance("loke:A") == 100


def test_a_reason_that_is_none_cancels_nothing_and_names_those_there_are(
    sandbox: Sandbox, pos: PointOfSale, order_id: str
) -> None:
    with pytest.raises(OrderGuardedError, match="Items out of stock"):
        pos.cancel_order(order_id, "because")
    assert posts(sandbox, "/actions") == 0


def test_a_cancellation_whose_answer_is_lost_is_looked_at(
    sandbox: Sandbox, pos: PointOfSale, desk: Desk, order_id: str
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="PUT", path=ACTIONS))
    assert not pos.cancel_order(order_id, "Shop closed").was_there
    assert desk.balance("loke:A") == 100


def test_what_is_over_stays_over(pos: PointOfSale, shop: Shop, order_id: str) -> None:
    other = shop.place_order([("SKU-1", 1, 500)])
    pos.complete_order(order_id)
    pos.cancel_order(other, "Shop closed")
    with pytest.raises(OrderGuardedError, match="completed"):
        pos.cancel_order(order_id, "Shop closed")
    with pytest.raises(OrderGuardedError, match="cancelled"):
        pos.complete_order(other)


def test_a_state_that_allows_nothing_is_refused_by_crm_com_and_told(
    pos: PointOfSale, shop: Shop, order_id: str
) -> None:
    shop.change_order(order_id, state="ON_HOLD")
    with pytest.raises(PosRefusedError, match="not completed"):
        pos.complete_order(order_id)


@pytest.mark.parametrize("status", [400, 404])
def test_an_order_that_is_not_there_is_told(
    sandbox: Sandbox, pos: PointOfSale, status: int
) -> None:
    sandbox.crm_com.switch(not_found_status=status)
    for act in (pos.order, pos.complete_order, lambda each: pos.cancel_order(each, "Shop closed")):
        with pytest.raises(OrderUnknownError):
            act("6514df04-9218-d354-9d59-ed9e98882fe6")
