"""The kinds of objects that the classic generation can hold, and their fields.

Tables and fields are those of the second generation, so that an organisation's desired objects are
the same for both. What the Web API has no place for is told here and never sent.
"""

from crm_pipeline.core.ports import FieldSpec, ObjectKind
from crm_pipeline.destinations.crm_com_classic.assumptions import MOST_PRODUCTS

PRODUCT = "product"
PURCHASE = "purchase"
REFUND = "refund"

_PRODUCT = {
    "sku": "The product's own number; its code at CRM.COM.",
    "name": "Name; CRM.COM calls it description.",
    "description": "Description. Not sent: the Web API has one text only.",
    "family": "Name of its family.",
    "brand": "Name of its brand.",
    "price": "Price of one, decimal. Not sent: the Web API has no place for it.",
    "currency": "Currency of the price. Not sent.",
    "tax_rate": "Tax in the price, as a share. Not sent: the definition at CRM.COM says it.",
}

#: Fields of a product that travel; a change of the others costs no call.
SENT_PRODUCT_FIELDS = frozenset({"sku", "name", "family", "brand"})

_PURCHASE = {
    "reference_number": "Our key; the receipt's number for CRM.COM, and the external number.",
    "purchase_id": "The id that we choose for it. Not sent: CRM.COM draws ids here.",
    "participant": "By what CRM.COM knows the customer: phone, e-mail address or card number.",
    "contact_key": "Whose purchase it is. Not sent: there are no contacts of ours here.",
    "date": "When it was completed, in epoch seconds; sent as the unit's local time.",
    "currency": "Currency of all amounts; CRM.COM refuses another one than the unit's.",
    "total": "What was paid, tax included, decimal.",
    "net": "The total without tax, decimal.",
    "tax": "Tax in the total, decimal.",
    "discount": "What was taken off before, decimal. Not sent: lines hold what was paid.",
    "classification": "Name of the purchase's class, which must exist at CRM.COM.",
    "organisation_id": "Name of the unit, or `key=value`; without it the destination's unit.",
    "tap_code": "Code of the terminal (release 17 and later), in place of a unit.",
    "notes": "A remark; CRM.COM calls it description.",
    "lines": "What was bought: JSON list of sku, name, quantity and amounts.",
}

_REFUND = {
    "purchase_key": "Key of the purchase that it undoes.",
    "kind": "cancel: all of it. A return of a part is not possible here.",
    "amount": "What came back, decimal. Not sent.",
    "currency": "Currency of the amount. Not sent.",
    "date": "When it was refunded, in epoch seconds. Not sent.",
    "reference_number": "The refund's own number. Not sent.",
    "contact_key": "Whose purchase it was. Not sent.",
    "participant": "By what CRM.COM knows the customer. Not sent.",
    "organisation_id": "Unit of the purchase. Not sent.",
    "tap_code": "Terminal of the purchase. Not sent.",
}


def _texts(fields: dict[str, str]) -> dict[str, FieldSpec]:
    return {
        name: FieldSpec(name=name, type="text", description=text) for name, text in fields.items()
    }


PRODUCTS = ObjectKind(
    name=PRODUCT,
    table="desired/products",
    title="Products",
    fields=_texts(_PRODUCT),
    calls_for={"create": 1, "update": 1},
    batch_size=MOST_PRODUCTS,
    is_listed=False,
    is_readable=False,
)

PURCHASES = ObjectKind(
    name=PURCHASE,
    table="desired/purchases",
    title="Purchases",
    fields=_texts(_PURCHASE),
    calls_for={"create": 1},
    is_immutable=True,
    is_listed=False,
)

REFUNDS = ObjectKind(
    name=REFUND,
    table="desired/refunds",
    title="Refunds",
    fields=_texts(_REFUND),
    calls_for={"create": 1},
    is_immutable=True,
    is_listed=False,
    references={"purchase_key": PURCHASE},
)
