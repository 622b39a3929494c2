"""What tests and admin calls do to the trade of one key behind its clients' back, and see of it.

Amounts that it takes are integers in the smallest unit of the business's currency; rows that it
returns are as the API shows them, with exact Decimals.

Here: money, purchases, one-time passwords. Not here: contacts, tags and switches (``vendor``),
products and orders (``shop``).
"""

import random
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from crm_pipeline.sandbox.crm_com.failures import not_found
from crm_pipeline.sandbox.crm_com.otps import SpendOtp
from crm_pipeline.sandbox.crm_com.purchase_bodies import PurchaseReader
from crm_pipeline.sandbox.crm_com.purchase_views import shown_purchase
from crm_pipeline.sandbox.crm_com.purchases import Amounts
from crm_pipeline.sandbox.crm_com.trade import Submission, Trade
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.crm_com.wallet_calls import shown_entry, shown_wallet
from crm_pipeline.sandbox.crm_com.wallets import Event, Wallet

_MADE = uuid.UUID("6f1c1b1e-0000-4000-8000-7a11a5ed0000")
#: Purchases that the desk makes are this far apart.
_APART_SECONDS = 60


class Desk:
    """The desk of one key. Every method may be called from any thread."""

    def __init__(self, crm_com: CrmCom, key: str) -> None:
        """Sit behind a key; a slug or an organisation id means its test key."""
        self._crm_com = crm_com
        self.business = crm_com.business(key)

    def purchases(self, reference_number: str | None = None) -> list[dict[str, Any]]:
        """Return purchases and returns, oldest first, perhaps those of one reference number."""
        store = self.business.purchases
        with self._crm_com.lock:
            found = (
                store.all() if reference_number is None else store.with_reference(reference_number)
            )
            return [shown_purchase(self.business, each) for each in found]

    def wallet(self, contact: str) -> dict[str, Any]:
        """Return the wallet of a contact, by id or code. Raises RefusedError."""
        with self._crm_com.lock:
            return shown_wallet(self.business, self._wallet(contact))

    def balance(self, contact: str) -> int:
        """Return a contact's money. Raises RefusedError."""
        with self._crm_com.lock:
            return self._wallet(contact).balance

    def journals(self) -> list[dict[str, Any]]:
        """Return every movement of every wallet, oldest first."""
        with self._crm_com.lock:
            return [shown_entry(self.business, each) for each in self.business.wallets.entries]

    def credit(self, contact: str, amount: int) -> int:
        """Put money into a wallet, or take it out, and return the balance. Raises RefusedError."""
        with self._crm_com.lock:
            wallet, now = self._wallet(contact), self._crm_com.now_seconds()
            event: Event = "TOP_UP" if amount > 0 else "ADJUSTMENT"
            self.business.wallets.post(wallet.contact_id, amount, event, now=now)
            return wallet.balance

    def issue_otp(self, contact: str, *, life_seconds: int = 300) -> SpendOtp:
        """Give a contact a password with which to pay at a till. Raises RefusedError."""
        with self._crm_com.lock:
            owner, now = self._wallet(contact).contact_id, self._crm_com.now_seconds()
            return self.business.otps.issue(owner, now=now, life_seconds=life_seconds)

    def add_purchases(self, bodies: Iterable[dict[str, Any]]) -> list[str]:
        """Post bodies of ``POST /purchases``; returns the ids. Raises RefusedError."""
        with self._crm_com.lock:
            switches, now = self._crm_com.switches, self._crm_com.clock().timestamp()
            reader = PurchaseReader(self.business, switches, int(now))
            trade = Trade(self.business, switches, now)
            wanted = [reader.purchase(msgspec.json.encode(body))[0] for body in bodies]
            return [trade.submit(each).id for each in wanted]

    def make_purchases(self, count: int, *, seed: int = 7) -> list[str]:
        """Post invented purchases of contacts that are there, one a minute until now."""
        with self._crm_com.lock:
            now, chance = self._crm_com.clock().timestamp(), random.Random(seed)
            contacts = [each["id"] for each in self.business.contacts.oldest_first()] or [None]
            trade = Trade(self.business, self._crm_com.switches, now)
            before = len(self.business.purchases)
            return [
                trade.submit(
                    self._invented(
                        before + number,
                        contacts[chance.randrange(len(contacts))],
                        chance.randrange(100, 10_000),
                        int(now) - (count - number) * _APART_SECONDS,
                    )
                ).id
                for number in range(count)
            ]

    def _invented(self, number: int, contact_id: str | None, total: int, date: int) -> Submission:
        reference = f"till:{number:08d}"
        return Submission(
            id=str(uuid.uuid5(_MADE, f"{self.business.organisation.id}:{reference}")),
            reference_number=reference,
            date=date,
            currency=self.business.currency,
            amounts=Amounts(total, 0, 0, total),
            organisation_id=self.business.outlets[0].id,
            contact_id=contact_id,
        )

    def _wallet(self, contact: str) -> Wallet:
        found = self.business.contacts.find(contact)
        if found is None:
            raise not_found(400, "contact", contact)
        return self.business.wallets.of(found["id"])
