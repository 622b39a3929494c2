"""How the results of a point of sale are shown: amounts as decimals, people by ids only."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_pipeline.pos import (
        Balance,
        Checkout,
        ContactSummary,
        GoodsBack,
        Order,
        OrderDone,
        Posted,
        Voided,
    )

Document = dict[str, Any]


def amount(units: int | None, currency: str | None) -> str | None:
    """Return an amount as a decimal; None when it is not known."""
    from crm_pipeline.pos.amounts import show_amount

    return None if units is None or currency is None else show_amount(units, currency)


def contact_document(contact: "ContactSummary", *, with_values: bool) -> Document:
    """Return a contact: ids and money; the name and the wallet's code only when asked for."""
    wallet = contact.wallet
    told: Document = {
        "id": contact.id,
        "code": contact.code,
        "wallet": None if wallet is None else [_balance(each) for each in wallet.balances],
    }
    if with_values:
        told |= {"name": contact.name, "wallet_code": wallet.code if wallet else None}
    return told


def _balance(balance: "Balance") -> Document:
    names = ("total", "open", "commerce")
    shown = {name: amount(getattr(balance, name), balance.currency) for name in names}
    return {"currency": balance.currency, **shown}


def posted_document(posted: "Posted") -> Document:
    """Return a purchase."""
    return {
        "id": posted.id,
        "reference": posted.reference,
        "currency": posted.currency,
        "total": amount(posted.total, posted.currency),
        "contact_id": posted.contact_id,
        "wallet_currency": posted.wallet_currency,
        "award": amount(posted.award, posted.wallet_currency),
        "spend": amount(posted.spend, posted.wallet_currency),
        "was_there": posted.was_there,
    }


def checkout_document(checkout: "Checkout") -> Document:
    """Return a front-end purchase, with what is still to be paid."""
    posted = checkout.posted
    return {**posted_document(posted), "due": amount(checkout.due, posted.currency)}


def voided_document(voided: "Voided") -> Document:
    """Return a purchase that is cancelled."""
    return {"id": voided.id, "reference": voided.reference, "was_there": voided.was_there}


def return_document(back: "GoodsBack") -> Document:
    """Return goods that came back."""
    return {
        "id": back.id,
        "reference": back.reference,
        "currency": back.currency,
        "amount": amount(back.amount, back.currency),
        "wallet_currency": back.wallet_currency,
        "debited": amount(back.debited, back.wallet_currency),
        "was_there": back.was_there,
    }


def order_document(order: "Order") -> Document:
    """Return an order; its contact by id and code."""
    amounts = {
        name: amount(getattr(order, name), order.currency)
        for name in ("total", "wallet_funds", "amount_due")
    }
    plain = (
        "id", "number", "state", "contact_id", "contact_code", "organisation_id", "supply_method",
        "currency", "submitted_at", "completed_at",
    )  # fmt: skip
    items = [
        {"sku": each.sku, "name": each.name, "quantity": each.quantity} for each in order.items
    ]
    return {**{name: getattr(order, name) for name in plain}, **amounts, "items": items}


def done_document(done: "OrderDone") -> Document:
    """Return what became of an order."""
    names = ("id", "number", "state", "reason", "was_there")
    return {name: getattr(done, name) for name in names}


def pairs(document: Document) -> list[list[object]]:
    """Return a document as rows for a person; what is not known is left out."""
    return [
        [name.replace("_", " "), value]
        for name, value in document.items()
        if value not in (None, "") and not isinstance(value, list)
    ]
