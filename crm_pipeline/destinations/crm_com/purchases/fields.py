"""The fields of purchases and refunds, and what they cost to send.

Here: names and meanings. Not here: their place in a body (``purchases.bodies``).
"""

from crm_pipeline.core.ports import FieldSpec, ObjectKind

PURCHASE = "purchase"
REFUND = "refund"

_PURCHASE = {
    "reference_number": "Our key; the receipt's number for CRM.COM.",
    "purchase_id": "The id that we choose for it, always the same for the same key.",
    "contact_key": "Whose purchase it is; empty: nobody's, to be claimed later.",
    "date": "When it was completed, in epoch seconds.",
    "currency": "Currency of all amounts, ISO 4217.",
    "total": "What was paid, tax included, decimal.",
    "net": "The total without tax, decimal.",
    "tax": "Tax in the total, decimal.",
    "discount": "What was taken off before, decimal.",
    "classification": "Name of the purchase's class, made when it is new.",
    "organisation_id": "CRM.COM's id of the place of sale.",
    "tap_code": "Code of the terminal (transaction acquiring point), in place of an organisation.",
    "notes": "A remark.",
    "lines": "What was bought: JSON list of sku, name, quantity and amounts.",
}

_REFUND = {
    "purchase_key": "Key of the purchase that it undoes, whole or in part.",
    "kind": "cancel: all of it; return: the amount.",
    "amount": "What came back, decimal; for a return.",
    "currency": "Currency of the amount, ISO 4217.",
    "date": "When it was refunded, in epoch seconds.",
    "reference_number": "The return's own number for CRM.COM.",
    "contact_key": "Whose purchase it was.",
    "organisation_id": "CRM.COM's id of the place of sale.",
    "tap_code": "Code of the terminal, in place of an organisation.",
}

PURCHASES = ObjectKind(
    name=PURCHASE,
    table="desired/purchases",
    title="Purchases",
    fields={
        name: FieldSpec(name=name, type="text", description=text)
        for name, text in _PURCHASE.items()
    },
    calls_for={"create": 1},
    is_immutable=True,
    references={"contact_key": "contact"},
)

REFUNDS = ObjectKind(
    name=REFUND,
    table="desired/refunds",
    title="Refunds",
    fields={
        name: FieldSpec(name=name, type="text", description=text) for name, text in _REFUND.items()
    },
    calls_for={"create": 1},
    is_immutable=True,
    is_listed=False,
    references={"purchase_key": PURCHASE},
)
