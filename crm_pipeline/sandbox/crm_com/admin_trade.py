"""The admin endpoints of purchases, wallets and one-time passwords, under ``/_sandbox/``.

Amounts are in the smallest unit of the business's currency where a call takes them; rows show
them as the API does, as text.
"""

from typing import Any

from crm_pipeline.sandbox.control.admin import Command, read_body
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.keyed import KeyBody, key_of, rows_of
from crm_pipeline.sandbox.crm_com.money import major
from crm_pipeline.sandbox.crm_com.purchase_views import shown_purchase
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.crm_com.wallet_calls import shown_entry, shown_wallet
from crm_pipeline.sandbox.wire import Request


class AddPurchasesBody(KeyBody, kw_only=True):
    """POST purchases/add: bodies as ``POST /purchases`` takes them, or a number of small ones."""

    purchases: list[dict[str, Any]] | None = None
    count: int = 0
    seed: int = 7


class CreditBody(KeyBody, kw_only=True):
    """POST wallets/credit: an amount below 0 takes money away."""

    contact: str
    amount: int


class OtpBody(KeyBody, kw_only=True):
    """POST otp: a password with which a contact, by id or code, pays at a till."""

    contact: str
    life_seconds: int = 300


class TradeCommands:
    """The commands of trade over one fake CRM.COM."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Steer ``crm_com``."""
        self._crm_com = crm_com
        self.table: dict[tuple[str, str], Command] = {
            ("GET", "purchases"): self._purchases,
            ("POST", "purchases/add"): self._add,
            ("GET", "wallets"): self._wallets,
            ("POST", "wallets/credit"): self._credit,
            ("GET", "journals"): self._journals,
            ("GET", "outlets"): self._outlets,
            ("GET", "otp"): self._challenges,
            ("POST", "otp"): self._issue,
        }

    def _purchases(self, request: Request) -> Any:
        business = self._crm_com.business(key_of(request))
        number = request.query.get("reference_number")
        store = business.purchases
        found = store.all() if number is None else store.with_reference(number)
        return rows_of(request, found, lambda each: shown_purchase(business, each))

    def _wallets(self, request: Request) -> Any:
        business = self._crm_com.business(key_of(request))
        found = business.wallets.all()
        return {
            "sum": major(sum(each.balance for each in found), business.currency),
            **rows_of(request, found, lambda each: shown_wallet(business, each)),
        }

    def _journals(self, request: Request) -> Any:
        business = self._crm_com.business(key_of(request))
        return rows_of(request, business.wallets.entries, lambda each: shown_entry(business, each))

    def _outlets(self, request: Request) -> Any:
        return {"outlets": self._crm_com.business(key_of(request)).outlets}

    def _challenges(self, request: Request) -> Any:
        return {"otp": self._crm_com.business(key_of(request)).otps.challenges()}

    def _add(self, request: Request) -> Any:
        body = read_body(request, AddPurchasesBody)
        desk = Desk(self._crm_com, body.opens)
        if body.purchases is None:
            return {"ids": desk.make_purchases(body.count, seed=body.seed)}
        return {"ids": desk.add_purchases(body.purchases)}

    def _credit(self, request: Request) -> Any:
        body = read_body(request, CreditBody)
        return {"balance": Desk(self._crm_com, body.opens).credit(body.contact, body.amount)}

    def _issue(self, request: Request) -> Any:
        body = read_body(request, OtpBody)
        desk = Desk(self._crm_com, body.opens)
        return desk.issue_otp(body.contact, life_seconds=body.life_seconds)
