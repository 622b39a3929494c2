"""Point of sale on CRM.COM's back-office API: what a till, a web shop or an operator does by hand.

One object, ``PointOfSale``, with one method a flow: identify, purchase, front-end purchase, void,
return, orders. Amounts are whole numbers of the currency's smallest unit. Codes for receipts are
pure functions (``codes``) and their pictures (``images``).

Here: flows that people start one by one. Not here: what is kept equal by itself (``sync``).
"""

from crm_pipeline.pos.client import PointOfSale
from crm_pipeline.pos.values import (
    Balance,
    Checkout,
    ContactSummary,
    GoodsBack,
    Means,
    Order,
    OrderDone,
    OrderItem,
    Posted,
    Return,
    Sale,
    SaleLine,
    Spend,
    Voided,
    Wallet,
)

__all__ = [
    "Balance",
    "Checkout",
    "ContactSummary",
    "GoodsBack",
    "Means",
    "Order",
    "OrderDone",
    "OrderItem",
    "PointOfSale",
    "Posted",
    "Return",
    "Sale",
    "SaleLine",
    "Spend",
    "Voided",
    "Wallet",
]
