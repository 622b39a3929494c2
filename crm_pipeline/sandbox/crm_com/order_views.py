"""Orders as the API shows them: in lists, one by one and in webhooks, under new or old names."""

import uuid
from typing import Any

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.money import major
from crm_pipeline.sandbox.crm_com.orders import REASONS, Order, OrderLine
from crm_pipeline.sandbox.crm_com.purchase_views import shown_person
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches

#: Old names by new ones, as the vendor's own examples still show them.
_OLD_NAMES = {
    "state": "life_cycle_state",
    "total": "total_cost",
    "wallet_funds": "wallet_funds_amount",
    "items": "order_items",
}


def order_in_list(business: Business, order: Order, switches: CrmComSwitches) -> dict[str, Any]:
    """Return an order as lists show it."""
    dates = {"currency": business.currency, "submitted_date": order.created_on}
    return _in_form({**_shared(business, order, switches), **dates}, switches)


def order_in_detail(business: Business, order: Order, switches: CrmComSwitches) -> dict[str, Any]:
    """Return an order as it is read by its id and sent to webhooks."""
    detail = {
        "currency_code": business.currency,
        "key_dates": {
            "submitted_on": order.created_on,
            "started_on": order.started_on,
            "completed_on": order.completed_on,
            "cancelled_on": order.cancelled_on,
            "requested_date": order.scheduled_on,
        },
    }
    return _in_form({**_shared(business, order, switches), **detail}, switches)


def _shared(business: Business, order: Order, switches: CrmComSwitches) -> dict[str, Any]:
    home = business.currency
    outlet = business.outlet(order.organisation_id)
    due = order.total - order.wallet_funds
    shown: dict[str, Any] = {
        "id": order.id,
        "number": order.number,
        "state": order.state,
        "stage": {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, order.stage)), "name": order.stage},
        "supply_method": order.supply_method,
        "fulfilled_by": {"id": outlet.id, "name": outlet.name} if outlet else None,
        "sub_total": major(order.total, home),
        "total": major(order.total, home),
        "net_amount": major(order.total - order.tax, home),
        "tax_amount": major(order.tax, home),
        "discount": {"amount": major(0, home), "amount_incl_tax": major(0, home)},
        "wallet_funds": major(order.wallet_funds, home),
        "amount_due": major(due, home),
        "amount_to_collect": major(due, home),
        "notes": order.notes or None,
        "cancellation_reason": (
            {"id": order.reason_id, "name": REASONS[order.reason_id]} if order.reason_id else None
        ),
        "items": [_shown_line(business, line, switches) for line in order.lines],
        "custom_fields": [],
    }
    if switches.is_order_contact_shown:
        shown["contact"] = shown_person(business, order.contact_id)
    return shown


def _shown_line(business: Business, line: OrderLine, switches: CrmComSwitches) -> dict[str, Any]:
    product = business.catalogue.find(line.product_id)
    home = business.currency
    price = {"price" if switches.order_form == "new" else "unit_price": major(line.price, home)}
    return {
        "id": line.id,
        "quantity": line.quantity,
        "life_cycle_state": "PENDING_DELIVERY",
        **price,
        "sub_total": major(line.total, home),
        "total": major(line.total, home),
        "product": {
            "id": line.product_id,
            "sku": product.sku if product else None,
            "name": product.name if product else None,
            "classification": "PRODUCT",
        },
    }


def _in_form(shown: dict[str, Any], switches: CrmComSwitches) -> dict[str, Any]:
    if switches.order_form == "new":
        return shown
    return {_OLD_NAMES.get(name, name): value for name, value in shown.items()}
