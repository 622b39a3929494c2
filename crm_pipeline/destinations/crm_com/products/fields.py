"""The fields of a product, and what it costs to send."""

from crm_pipeline.core.ports import FieldSpec, ObjectKind
from crm_pipeline.destinations.crm_com.assumptions import PRODUCTS_PER_CALL

PRODUCT = "product"

_FIELDS = {
    "sku": "The product's own number; its key for CRM.COM.",
    "name": "Name.",
    "description": "Description.",
    "family": "Name of its family, made when it is new.",
    "brand": "Name of its brand, made when it is new.",
    "price": "Price of one, decimal.",
    "currency": "Currency of the price, ISO 4217.",
    "tax_rate": "Tax in the price, as the source gives it, decimal.",
}


PRODUCTS = ObjectKind(
    name=PRODUCT,
    table="desired/products",
    title="Products",
    fields={
        name: FieldSpec(name=name, type="text", description=text) for name, text in _FIELDS.items()
    },
    calls_for={"create": 2, "update": 2},
    batch_size=PRODUCTS_PER_CALL,
)

_KEY_START = "sku:"


def key_of(sku: str) -> str:
    """Return our key of a product.

    >>> key_of("SKU-1"), sku_of("sku:SKU-1")
    ('sku:SKU-1', 'SKU-1')
    """
    return f"{_KEY_START}{sku}"


def sku_of(key: str) -> str:
    """Return the SKU in a key of ours."""
    return key.removeprefix(_KEY_START)
