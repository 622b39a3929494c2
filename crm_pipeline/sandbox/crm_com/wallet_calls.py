"""What clients can call about wallets, journals, one-time passwords, places, loyalty numbers."""

from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.contacts import Contact
from crm_pipeline.sandbox.crm_com.failures import (
    INVALID_LOGIN,
    NOT_ENOUGH,
    RefusedError,
    invalid,
    not_found,
)
from crm_pipeline.sandbox.crm_com.money import answer_of, major, read_amount, read_currency
from crm_pipeline.sandbox.crm_com.search import cut, page_of_list, paged, read_dates, read_wish
from crm_pipeline.sandbox.crm_com.shapes import read_shape
from crm_pipeline.sandbox.crm_com.vendor import CrmCom, Handler, Key
from crm_pipeline.sandbox.crm_com.wallets import JournalEntry, Wallet
from crm_pipeline.sandbox.wire import Answer, Request

_CHALLENGE_SECONDS = 300


class JournalBody(msgspec.Struct):
    """POST contacts/{id}/journals."""

    action: Literal["CREDIT", "DEBIT"]
    entity: Literal["ACCOUNT", "WALLET"]
    amount: msgspec.Raw
    currency_code: str | None = None
    notes: str | None = None


class OtpBody(msgspec.Struct):
    """POST contacts/{id}/otp."""

    method: Literal["SMS", "EMAIL"] = "SMS"


class ValidateBody(msgspec.Struct):
    """POST contacts/{id}/validate_otp."""

    auth_otp: str
    code: str


class WalletCalls:
    """The endpoints around wallets over one fake CRM.COM."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Answer from ``crm_com``."""
        self._crm_com = crm_com
        self.table: dict[str, dict[str, Handler]] = {
            "/wallets/{id}": {"GET": self._read_wallet},
            "/wallets/{id}/journals": {"GET": self._list_wallet_journals},
            "/journals": {"GET": self._list_journals},
            "/contacts/{id}/journals": {"POST": self._post_journal},
            "/contacts/{id}/otp": {"POST": self._send_otp},
            "/contacts/{id}/validate_otp": {"POST": self._validate_otp},
            "/contacts/{id}/loyalty_identifiers": {"GET": self._list_loyalty_identifiers},
            "/organisations": {"GET": self._list_organisations},
            "/organisations/{id}/network": {"GET": self._list_organisations},
        }

    def _wallet(self, request: Request, key: Key) -> Wallet:
        reference = request.segments[3]
        found = key.business.wallets.find(reference)
        if found is None:
            raise not_found(self._crm_com.switches.not_found_status, "wallet", reference)
        return found

    def _contact(self, request: Request, key: Key) -> Contact:
        return self._crm_com.contact_of(key, request.segments[3])

    def _read_wallet(self, request: Request, key: Key) -> Answer:
        return answer_of(shown_wallet(key.business, self._wallet(request, key)))

    def _list_wallet_journals(self, request: Request, key: Key) -> Answer:
        wallet = self._wallet(request, key)
        return _journals(request, key.business, key.business.wallets.entries_of(wallet.id))

    def _list_journals(self, request: Request, key: Key) -> Answer:
        if request.query.get("entity", "WALLET").upper() != "WALLET":
            return answer_of(paged([], 0, read_wish(request.query)))
        return _journals(request, key.business, key.business.wallets.entries)

    def _post_journal(self, request: Request, key: Key) -> Answer:
        contact, body = self._contact(request, key), read_shape(request.body, JournalBody)
        business = key.business
        currency = read_currency(body.currency_code, business.currency)
        amount = read_amount("amount", body.amount, currency)
        if not amount:
            raise invalid("amount")
        if currency != business.currency:
            raise invalid("currency_code", "The wallet is kept in another currency.")
        if body.entity == "ACCOUNT":
            raise invalid("entity", "The contact has no account.")
        if body.action == "DEBIT" and amount > business.wallets.balance(contact["id"]):
            raise RefusedError(400, "The wallet does not hold enough.", NOT_ENOUGH, ["amount"])
        entry = business.wallets.post(
            contact["id"],
            amount if body.action == "CREDIT" else -amount,
            "TOP_UP" if body.action == "CREDIT" else "ADJUSTMENT",
            now=self._crm_com.now_seconds(),
            notes=body.notes or "",
        )
        return answer_of({"id": entry.id if entry else ""})

    def _send_otp(self, request: Request, key: Key) -> Answer:
        contact, body = self._contact(request, key), read_shape(request.body or b"{}", OtpBody)
        phone = contact["phone"] and contact["phone"]["number"]
        target = phone if body.method == "SMS" else contact["email"]
        if not target:
            raise invalid("method", "The contact cannot be reached that way.")
        sent = key.business.otps.challenge(
            contact["id"], now=self._crm_com.now_seconds(), life_seconds=_CHALLENGE_SECONDS
        )
        hidden = "*" * (len(target) - 3) + target[-3:]
        return answer_of({"obfuscated_value": hidden, "auth_otp": sent.auth_otp})

    def _validate_otp(self, request: Request, key: Key) -> Answer:
        contact, body = self._contact(request, key), read_shape(request.body, ValidateBody)
        now = self._crm_com.now_seconds()
        if not key.business.otps.passes(contact["id"], body.auth_otp, body.code, now=now):
            raise RefusedError(400, "The code is wrong or too old.", INVALID_LOGIN, ["code"])
        return Answer(204)

    def _list_loyalty_identifiers(self, request: Request, key: Key) -> Answer:
        rows = list(self._contact(request, key)["loyalty_identifiers"])
        return answer_of(page_of_list(rows, read_wish(request.query)))

    def _list_organisations(self, request: Request, key: Key) -> Answer:
        rows = [
            {
                "id": each.id,
                "name": each.name,
                "external_id": each.tap_code,
                "tap": {"id": each.tap_id, "code": each.tap_code},
                "life_cycle_state": "ACTIVE",
            }
            for each in key.business.outlets
        ]
        if request.segments[3:]:
            self._must_be_own(request.segments[3], key.business)
            rows = rows[1:]
        return answer_of(page_of_list(rows, read_wish(request.query)))

    def _must_be_own(self, reference: str, business: Business) -> None:
        if reference != business.outlets[0].id:
            raise not_found(self._crm_com.switches.not_found_status, "organisation", reference)


def shown_wallet(business: Business, wallet: Wallet) -> dict[str, Any]:
    """Return a wallet as the API answers it; all money in it is open."""
    home = business.currency
    total, none = major(wallet.balance, home), major(0, home)
    outlet = business.outlets[0]
    return {
        "id": wallet.id,
        "code": wallet.code,
        "balances": [
            {
                "type": "BUSINESS",
                "currency_code": home,
                "total": total,
                "open": total,
                "commerce": none,
                "organisation": {"id": outlet.id, "name": outlet.name},
            }
        ],
        "total_balance": total,
        "total_open": total,
        "total_commerce": none,
        "contact": {"id": wallet.contact_id},
    }


def shown_entry(business: Business, entry: JournalEntry) -> dict[str, Any]:
    """Return a journal entry; the sign of the amount is in its type."""
    return {
        "id": entry.id,
        "entity": "WALLET",
        "type": "CREDIT" if entry.amount > 0 else "DEBIT",
        "event": entry.event,
        "amount": major(abs(entry.amount), business.currency),
        "currency_code": business.currency,
        "posted_on": entry.posted_on,
        "wallet": {"id": entry.wallet_id},
        "contact": {"id": entry.contact_id},
        "cause_id": entry.cause_id or None,
        "notes": entry.notes or None,
    }


def _journals(request: Request, business: Business, entries: list[JournalEntry]) -> Answer:
    wish, bounds = read_wish(request.query), read_dates(request.query, ("posted_on",))
    event = request.query.get("event", "").upper()
    kind = request.query.get("type", "").upper()
    found = entries
    if event or kind or bounds:
        found = [
            entry
            for entry in entries
            if event in ("", entry.event)
            and kind in ("", "CREDIT" if entry.amount > 0 else "DEBIT")
            and all(bound.holds(entry.posted_on) for bound in bounds)
        ]
    content = [shown_entry(business, entry) for entry in cut(found, wish)]
    return answer_of(paged(content, len(found), wish))
