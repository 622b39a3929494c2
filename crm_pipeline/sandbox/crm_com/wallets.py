"""Wallets: one for each contact, real money in the business's currency, and their journal.

Here: balances and entries, in the smallest unit. Not here: why money moves (``trade``).
"""

import dataclasses
import random
from typing import Literal

from crm_pipeline.sandbox.crm_com.contacts import ContactStore, new_id, wallet_of

Event = Literal["AWARD", "SPEND", "CANCELLATION", "RETURN", "ORDER", "TOP_UP", "ADJUSTMENT"]


@dataclasses.dataclass(slots=True)
class Wallet:
    """One contact's money. ``balance`` may fall below 0 when a spent award is taken back."""

    id: str
    code: str
    contact_id: str
    balance: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One movement. ``amount`` is signed: above 0 a credit, below 0 a debit."""

    id: str
    wallet_id: str
    contact_id: str
    event: Event
    amount: int
    posted_on: int
    #: The purchase, return or order that caused it.
    cause_id: str = ""
    notes: str = ""


class WalletStore:
    """Wallets by contact, id and code; all entries in order."""

    def __init__(self, contacts: ContactStore, seed: str) -> None:
        """Give every contact, present or future, an empty wallet."""
        self._contacts = contacts
        self._chance = random.Random(seed)
        self._by_contact: dict[str, Wallet] = {}
        #: Contact ids by wallet id and by wallet code; filled when somebody asks.
        self._owners: dict[str, str] = {}
        self._indexed: set[str] = set()
        #: All entries, oldest first.
        self.entries: list[JournalEntry] = []
        self._by_wallet: dict[str, list[JournalEntry]] = {}

    def of(self, contact_id: str) -> Wallet:
        """Return the wallet of a contact."""
        wallet = self._by_contact.get(contact_id)
        if wallet is None:
            identity = wallet_of(contact_id)
            wallet = self._by_contact[contact_id] = Wallet(
                identity["id"], identity["code"], contact_id
            )
        return wallet

    def find(self, reference: str) -> Wallet | None:
        """Return a wallet by id or code, None when its contact is gone."""
        if reference not in self._owners:
            self._catch_up()
        owner = self._owners.get(reference, "")
        return self.of(owner) if self._contacts.find(owner) else None

    def balance(self, contact_id: str) -> int:
        """Return a contact's money without making a wallet."""
        wallet = self._by_contact.get(contact_id)
        return wallet.balance if wallet else 0

    def post(
        self,
        contact_id: str,
        amount: int,
        event: Event,
        *,
        now: int,
        cause_id: str = "",
        notes: str = "",
    ) -> JournalEntry | None:
        """Move money, signed, and return the entry; an amount of 0 moves nothing."""
        if amount == 0:
            return None
        wallet = self.of(contact_id)
        wallet.balance += amount
        entry = JournalEntry(
            id=new_id(self._chance),
            wallet_id=wallet.id,
            contact_id=contact_id,
            event=event,
            amount=amount,
            posted_on=now,
            cause_id=cause_id,
            notes=notes,
        )
        self.entries.append(entry)
        self._by_wallet.setdefault(wallet.id, []).append(entry)
        return entry

    def entries_of(self, wallet_id: str) -> list[JournalEntry]:
        """Return the entries of one wallet, oldest first."""
        return self._by_wallet.get(wallet_id, [])

    def all(self) -> list[Wallet]:
        """Return the wallets that were ever used."""
        return list(self._by_contact.values())

    def _catch_up(self) -> None:
        for contact in self._contacts.newest_first():
            if contact["id"] in self._indexed:
                break
            identity = wallet_of(contact["id"])
            self._indexed.add(contact["id"])
            self._owners[identity["id"]] = self._owners[identity["code"]] = contact["id"]
