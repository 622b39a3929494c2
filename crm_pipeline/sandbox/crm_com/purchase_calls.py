"""What clients can call about purchases, wallets, one-time passwords and places."""

from crm_pipeline.sandbox.crm_com.failures import (
    UNAUTHORISED,
    RefusedError,
    invalid,
    not_found,
)
from crm_pipeline.sandbox.crm_com.money import answer_of
from crm_pipeline.sandbox.crm_com.purchase_bodies import (
    ClaimBody,
    PurchaseReader,
    claimed_total,
)
from crm_pipeline.sandbox.crm_com.purchase_views import (
    find_purchases,
    shown_purchase,
    shown_rewards,
)
from crm_pipeline.sandbox.crm_com.purchases import Purchase
from crm_pipeline.sandbox.crm_com.search import page_of_list, paged, read_wish
from crm_pipeline.sandbox.crm_com.shapes import OrganisationRef, read_shape
from crm_pipeline.sandbox.crm_com.trade import Trade
from crm_pipeline.sandbox.crm_com.vendor import CrmCom, Handler, Key
from crm_pipeline.sandbox.wire import Answer, Request

_SORTS = ("DATE",)


class PurchaseCalls:
    """The endpoints of purchases over one fake CRM.COM."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Answer from ``crm_com``."""
        self._crm_com = crm_com
        self.table: dict[str, dict[str, Handler]] = {
            "/purchases": {"GET": self._list, "POST": self._submit},
            "/purchases/{id}": {"GET": self._read},
            "/purchases/{id}/rewards": {"GET": self._read_rewards},
            "/purchases/{id}/cancel": {"POST": self._cancel},
            "/purchases/ad_hoc_return": {"POST": self._take_back},
            "/self-service/purchases/reclaim": {"POST": self._claim},
            "/customer_event_classifications": {"GET": self._list_classifications},
        }

    def _trade(self, key: Key) -> Trade:
        return Trade(key.business, self._crm_com.switches, self._crm_com.clock().timestamp())

    def _reader(self, key: Key) -> PurchaseReader:
        return PurchaseReader(key.business, self._crm_com.switches, self._crm_com.now_seconds())

    def _purchase(self, request: Request, key: Key) -> Purchase:
        reference = request.segments[3]
        found = key.business.purchases.find(reference)
        if found is None:
            raise not_found(self._crm_com.switches.not_found_status, "purchase", reference)
        return found

    def _list(self, request: Request, key: Key) -> Answer:
        wish = read_wish(request.query, _SORTS)
        rows, total = find_purchases(
            key.business,
            request.query,
            wish,
            self._crm_com.switches,
            self._crm_com.clock().timestamp(),
        )
        content = [shown_purchase(key.business, each) for each in rows]
        return answer_of(paged(content, total, wish))

    def _submit(self, request: Request, key: Key) -> Answer:
        wanted, otp = self._reader(key).purchase(request.body)
        purchase = self._trade(key).submit(wanted)
        if otp is not None:
            key.business.otps.use_up(otp)
        rewards = shown_rewards(key.business, purchase)
        return answer_of({"id": purchase.id, "rewards": rewards})

    def _read(self, request: Request, key: Key) -> Answer:
        return answer_of(shown_purchase(key.business, self._purchase(request, key)))

    def _read_rewards(self, request: Request, key: Key) -> Answer:
        purchase, home = self._purchase(request, key), key.business.currency
        amounts = shown_rewards(key.business, purchase)
        content = [
            {
                "type": kind.upper(),
                "reward_offer": None,
                "redeem_method": "INSTANT",
                "amount": amounts[kind],
                "currency_code": home,
            }
            for kind in ("award", "spend")
            if amounts[kind] and request.query.get("type", kind.upper()) == kind.upper()
        ]
        return answer_of({"content": content})

    def _cancel(self, request: Request, key: Key) -> Answer:
        purchase = self._purchase_to_cancel(request.segments[3], key)
        self._trade(key).cancel(purchase)
        return answer_of({"id": purchase.id})

    def _purchase_to_cancel(self, reference: str, key: Key) -> Purchase:
        """Find it by our transaction reference or by the GUID, as switched."""
        store, switches = key.business.purchases, self._crm_com.switches
        found = store.find(reference) if switches.cancel_by != "reference_number" else None
        if found is None and switches.cancel_by != "id":
            named = [each for each in store.with_reference(reference) if each.returned is None]
            posted = [each for each in named if each.state == "POSTED"]
            found = next(iter(posted or named), None)
        if found is None:
            raise not_found(switches.not_found_status, "purchase", reference)
        return found

    def _take_back(self, request: Request, key: Key) -> Answer:
        goods = self._reader(key).goods_back(request.body)
        return answer_of({"id": self._trade(key).take_back(goods).id})

    def _claim(self, request: Request, key: Key) -> Answer:
        """Give a purchase of nobody to the person whose token came along (self-service API)."""
        kind, _, person = request.header(b"authorization").partition(" ")
        contact = key.contacts.find(person) if kind.lower() == "bearer" else None
        if contact is None:
            raise RefusedError(401, "Nobody is signed in.", UNAUTHORISED, [])
        body = read_shape(request.body, ClaimBody)
        found = self._claimed(body, key)
        self._trade(key).claim(found, contact["id"])
        return answer_of({"id": found.id, "rewards": shown_rewards(key.business, found)})

    def _claimed(self, body: ClaimBody, key: Key) -> Purchase:
        total, currency = claimed_total(body, key.business.currency)
        store = key.business.purchases
        place, _ = self._reader(key).place(body.organisation or OrganisationRef())
        by_id = store.find(body.id) if body.id else None
        found = [by_id] if by_id else store.with_reference(body.transaction_code or "")
        for each in found:
            is_named = body.organisation is None or each.organisation_id == place.id
            if is_named and (each.amounts.total, each.currency) == (total, currency):
                return each
        reference = body.id or body.transaction_code
        if not reference:
            raise invalid("transaction_code", "A mandatory value is missing.")
        raise not_found(self._crm_com.switches.not_found_status, "purchase", reference)

    def _list_classifications(self, request: Request, key: Key) -> Answer:
        rows = [
            {**each, "description": "", "type": "PURCHASE"}
            for each in key.business.catalogue.classifications.all()
        ]
        return answer_of(page_of_list(rows, read_wish(request.query)))
