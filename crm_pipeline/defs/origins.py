"""Where each column of a desired object comes from: data, by asset and column of what landed.

Customers come from the default mapping (``core.mapping``), the rest is written down here; a test
holds it against the specs. An organisation may map more, such as answers of sample orders.
"""

from collections.abc import Mapping, Sequence

from crm_pipeline.core.mapping import DEFAULT_LOKE_CUSTOMER, column_lineage

#: Columns of landed assets (``<source>/<dataset>``) behind each column.
Origins = Mapping[str, Sequence[tuple[str, str]]]

CUSTOMERS = "loke/customers"
PAYMENTS = "loke/payments"
SAMPLES = "sopost/orders"
MEMBERS = "loke/list_members"
CATALOGUE = "catalogue/products"

#: Fields that sample orders alone make, and those that they fill for who is no customer.
_SAMPLES = {
    "custom.sopost_identity": "identity",
    "custom.sopost_last_order_id": "id",
    "custom.sopost_last_order_status": "status",
    "custom.sopost_last_activity_id": "activity_id",
    **dict.fromkeys(
        (
            "address_line_1",
            "address_line_2",
            "town_city",
            "state_province_county",
            "postal_code",
            "address_country",
        ),
        "address",
    ),
    "first_name": "full_name",
    "last_name": "full_name",
    "email": "email",
    "phone_country": "telephone",
    "phone_number": "telephone",
    "email_opt_out": "consents",
    "sms_opt_out": "consents",
}
_CONTACT = {
    "key": ("id",),
    "source_id": ("id",),
    "version_at": ("updated_at",),
    "email": ("email",),
    "phone": ("phone_number",),
    "email_opt_out": (DEFAULT_LOKE_CUSTOMER.consent_source,),
    "sms_opt_out": (DEFAULT_LOKE_CUSTOMER.consent_source,),
}
_CONTACT_OF_SAMPLE = {
    "key": "identity",
    "source_id": "identity",
    "email": "email",
    "phone": "telephone",
    "email_opt_out": "consents",
    "sms_opt_out": "consents",
}
_PURCHASE = {
    "reference_number": ("id",),
    "purchase_id": ("id",),
    "contact_key": ("customer_id",),
    "date": ("completed_at", "created_at"),
    "currency": ("currency",),
    "total": ("total",),
    "net": ("total",),
    "tax": ("total",),
    "organisation_id": ("location_id",),
    "tap_code": ("location_id",),
    "lines": ("items", "total"),
    "participant": ("customer",),
}
_PURCHASE_OF_SAMPLE = {
    "reference_number": "id",
    "purchase_id": "id",
    "contact_key": "identity",
    "date": "landed_at",
    "lines": "line_items",
}
_REFUND = {
    "purchase_key": ("id",),
    "reference_number": ("id",),
    "kind": ("state", "refunded_amount"),
    "amount": ("refunded_amount",),
    "currency": ("currency",),
    "date": ("refunded_at",),
    "contact_key": ("customer_id",),
    "organisation_id": ("location_id",),
    "tap_code": ("location_id",),
    "participant": ("customer",),
}
_CATALOGUED = ("sku", "name", "description", "family", "brand", "price", "currency", "tax_rate")


def field_origins() -> Mapping[str, Origins]:
    """Return the landed columns behind each field, by kind of object.

    >>> field_origins()["membership"]["tags"]
    [('loke/list_members', 'list_id'), ('loke/list_members', 'is_member')]
    """
    customers = column_lineage(DEFAULT_LOKE_CUSTOMER)
    return {
        "contact": {
            name: [
                *((CUSTOMERS, column) for column in customers.get(name, ())),
                *([(SAMPLES, _SAMPLES[name])] if name in _SAMPLES else []),
            ]
            for name in [*customers, *(name for name in _SAMPLES if name not in customers)]
        },
        "membership": {
            "contact_key": [(MEMBERS, "customer_id")],
            "tags": [(MEMBERS, "list_id"), (MEMBERS, "is_member")],
        },
        "purchase": {
            name: [
                *((PAYMENTS, column) for column in columns),
                *([(SAMPLES, _PURCHASE_OF_SAMPLE[name])] if name in _PURCHASE_OF_SAMPLE else []),
            ]
            for name, columns in _PURCHASE.items()
        },
        "refund": {
            name: [(PAYMENTS, column) for column in columns] for name, columns in _REFUND.items()
        },
        "product": {
            name: [
                (CATALOGUE, name),
                *([(PAYMENTS, "items")] if name in ("sku", "name") else []),
            ]
            for name in _CATALOGUED
        },
    }


def contact_column_origins() -> Origins:
    """Return what is behind the columns of contacts beside ``fields``."""
    return {
        name: [
            *((CUSTOMERS, column) for column in columns),
            *([(SAMPLES, _CONTACT_OF_SAMPLE[name])] if name in _CONTACT_OF_SAMPLE else []),
        ]
        for name, columns in _CONTACT.items()
    }


#: What is behind the columns of the other desired objects beside ``fields``, by asset.
COLUMN_ORIGINS: Mapping[str, Origins] = {
    "memberships": {
        "key": [(MEMBERS, "customer_id")],
        "source_id": [(MEMBERS, "customer_id")],
        "version_at": [(MEMBERS, "version_at")],
    },
    "purchases": {
        "key": [(PAYMENTS, "id"), (SAMPLES, "id")],
        "source_id": [(PAYMENTS, "id"), (SAMPLES, "id")],
        "version_at": [(PAYMENTS, "changed_at")],
    },
    "products": {
        "key": [(CATALOGUE, "sku"), (PAYMENTS, "items")],
        "source_id": [(CATALOGUE, "sku"), (PAYMENTS, "items")],
        "version_at": [(PAYMENTS, "changed_at")],
    },
}
