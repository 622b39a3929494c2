"""One organisation's point of sale on CRM.COM: one method a flow.

Here: what a flow does in which order, and who waits for whom. Not here: one kind of work
(``people``, ``selling``, ``undoing``, ``orders``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.destinations.crm_com.purchases.reading import contact_of
from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.http import ApiClient, ApiKey, Seams
from crm_pipeline.pos.amounts import amount_due
from crm_pipeline.pos.calls import PosCalls
from crm_pipeline.pos.checking import check_reference, check_return, check_sale
from crm_pipeline.pos.orders import Orders
from crm_pipeline.pos.people import People
from crm_pipeline.pos.refusals import (
    OtpRefusedError,
    OutcomeUnknownError,
    PosRefusedError,
    ReferenceTakenError,
    SaleInvalidError,
)
from crm_pipeline.pos.register import Register
from crm_pipeline.pos.selling import Selling
from crm_pipeline.pos.turns import Hold, Turns
from crm_pipeline.pos.undoing import Undoing
from crm_pipeline.pos.values import (
    Checkout,
    ContactSummary,
    GoodsBack,
    Means,
    Order,
    OrderDone,
    Posted,
    Return,
    Sale,
    Spend,
    Voided,
)


class PointOfSale:
    """Does what a till does. Thread-safe; a context manager.

    ``currency`` is the organisation's: wallets are kept in it. ``hold`` makes two processes with
    the same reference take turns. Every write has a reference that the caller chooses: repeated
    with the same one it is found, not done again.
    """

    def __init__(
        self,
        connection: DestinationConnection,
        *,
        currency: str,
        seams: Seams | None = None,
        hold: Hold | None = None,
    ) -> None:
        seams = seams or Seams()
        self._currency = currency
        self._turns = Turns(hold)
        self._client = ApiClient(
            connection.base_url,
            waits=connection.waits,
            credentials=ApiKey("api_key", connection.api_key),
            refused_statuses=frozenset({401, 403}),
            connections=connection.limits.concurrency + 2,
            seams=seams,
        )

        def settle() -> None:
            seams.sleep(connection.waits.settle_seconds)

        def now() -> int:
            return int(seams.clock().timestamp())

        calls = PosCalls(self._client)
        self._register = Register(calls, connection.organisation, settle=settle)
        self._people = People(calls)
        self._selling = Selling(calls, self._register, currency=currency, now=now)
        self._undoing = Undoing(calls, self._register, currency=currency, now=now)
        self._orders = Orders(calls, self._register)

    def __enter__(self) -> "PointOfSale":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    # -- people ------------------------------------------------------------------------------------

    def identify(self, means: Means) -> ContactSummary:
        """Return the contact that a means identifies, with the wallet.

        Raises ContactUnknownError when it is nobody, or nobody for sure.
        """
        return self._people.identify(means)

    # -- purchases ---------------------------------------------------------------------------------

    def purchase(self, sale: Sale, *, otp: str = "", spend: Spend | None = None) -> Posted:
        """Post a purchase that is paid in full; CRM.COM pays a spend out by itself (back end).

        ``otp`` is the contact's one-time password: it identifies by itself; with a buyer as well,
        it must be the buyer's. Raises ReferenceTakenError when the reference was used for
        something else, OutcomeUnknownError when nobody can tell whether it was done.
        """
        check_sale(sale, spend, has_otp=bool(otp))
        contact_id = self._people.contact_id(sale.buyer)
        return self._post(sale, contact_id, otp, spend)

    def check_out(self, sale: Sale, *, otp: str = "", spend: Spend | None = None) -> Checkout:
        """Identify the buyer, post the purchase, and tell what is still to be paid (front end).

        CRM.COM decides how much is spent: at most what was asked for and what the wallet holds.
        """
        check_sale(sale, spend, has_otp=bool(otp))
        if sale.currency != self._currency:
            raise SaleInvalidError(
                f"Wallets are kept in {self._currency}: what is spent of them cannot be taken off"
                f" an amount in {sale.currency}.",
                not_done="Nothing was sent.",
                remedy="Sell in the organisation's currency, or post a back-end purchase.",
            )
        contact = self._people.identify(sale.buyer) if sale.buyer is not None else None
        posted = self._post(sale, contact.id if contact else None, otp, spend)
        if posted.spend is None or posted.wallet_currency != sale.currency:
            raise PosRefusedError(
                f"CRM.COM does not say what the purchase {posted.id} spent.",
                not_done="What is to be paid cannot be told. The purchase is posted.",
                remedy="Look at the purchase in CRM.COM, or void it by its reference.",
            )
        return Checkout(posted=posted, due=amount_due(posted.total, posted.spend), contact=contact)

    def _post(self, sale: Sale, contact_id: str | None, otp: str, spend: Spend | None) -> Posted:
        with self._turns.taking(sale.reference):
            if otp and contact_id is not None:
                return self._post_proven(sale, contact_id, otp, spend)
            return self._selling.post(sale, contact_id, otp=otp, spend=spend)

    def _post_proven(self, sale: Sale, contact_id: str, otp: str, spend: Spend | None) -> Posted:
        """Post with a one-time password; if it was another contact's, void it again."""
        posted = self._selling.post(sale, None, otp=otp, spend=spend)
        found = self._register.by_id(posted.id) if not posted.contact_id else None
        owner = posted.contact_id or (contact_of(found) if found is not None else None)
        if owner == contact_id:
            return replace(posted, contact_id=owner)
        if posted.was_there:
            raise ReferenceTakenError(
                f"Under the reference {sale.reference} CRM.COM holds a purchase of another"
                " contact.",
                not_done="Nothing was posted.",
                remedy="Choose a reference that was never used.",
            )
        self._void_foreign(posted)
        raise OtpRefusedError(
            "The one-time password is another contact's.",
            not_done=f"The purchase {posted.id} was voided: nothing is awarded or spent.",
            remedy="Identify the contact again. Choose a new reference for the next try.",
        )

    def _void_foreign(self, posted: Posted) -> None:
        try:
            self._undoing.void(self._undoing.purchase_with(posted.id))
        except CrmPipelineError:
            raise OutcomeUnknownError(
                f"The one-time password is another contact's, and the purchase {posted.id} could"
                " not be voided.",
                not_done="Its award and its spend may stand.",
                remedy=f"Void it: `crm-pipeline pos void --id {posted.id}`.",
            ) from None

    # -- undoing -----------------------------------------------------------------------------------

    def void(self, reference: str) -> Voided:
        """Cancel the purchase that was posted under a reference; awards and spends go back.

        Raises PurchaseUnknownError when there is none, or several.
        """
        check_reference(reference)
        with self._turns.taking(reference):
            return self._undoing.void(self._undoing.purchase_of(reference))

    def void_by_id(self, purchase_id: str) -> Voided:
        """Cancel a purchase by CRM.COM's id. Raises PurchaseUnknownError."""
        with self._turns.taking(purchase_id):
            return self._undoing.void(self._undoing.purchase_with(purchase_id))

    def ad_hoc_return(self, wanted: Return) -> GoodsBack:
        """Take goods back whose purchase is not known.

        Raises ReferenceTakenError when the reference was used for something else.
        """
        check_return(wanted)
        contact_id = self._people.contact_id(wanted.buyer)
        with self._turns.taking(wanted.reference):
            return self._undoing.take_back(wanted, contact_id)

    # -- orders ------------------------------------------------------------------------------------

    def orders(self, *, state: str = "", limit: int = 50) -> Sequence[Order]:
        """Return the newest orders, of one state such as NEW, or of all."""
        return self._orders.listed(state=state, limit=limit)

    def order(self, order_id: str) -> Order:
        """Return one order by its id. Raises OrderUnknownError."""
        return self._orders.shown(order_id)

    def complete_order(self, order_id: str, *, is_forced: bool = False) -> OrderDone:
        """Complete an order; CRM.COM awards it.

        Raises OrderGuardedError when it was posted as a purchase, unless forced.
        """
        with self._turns.taking(order_id):
            return self._orders.complete(order_id, is_forced=is_forced)

    def cancellation_reasons(self) -> Mapping[str, str]:
        """Return the reasons for which an order may be cancelled, names by id."""
        return self._orders.reasons()

    def cancel_order(self, order_id: str, reason: str) -> OrderDone:
        """Cancel an order for a reason, given by id or by name."""
        with self._turns.taking(order_id):
            return self._orders.cancel(order_id, reason)
