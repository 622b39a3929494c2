"""The classic Web API, one method each: for the destination, for people and for points of sale.

Here: paths, bodies, shapes of answers. Not here: how a call is made (``calls``), or what our
purchases are (``writing``). Closing a sale is arithmetic (``closing``).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self

from crm_pipeline.core.records import Waits
from crm_pipeline.destinations.crm_com_classic.assumptions import (
    MOST_PRODUCTS,
    MOST_PURCHASES,
    PAGE_SIZE,
    PRODUCTS_MEMBER,
    PURCHASES_MEMBER,
    TIME_ZONE,
)
from crm_pipeline.destinations.crm_com_classic.calls import Calls, Tally
from crm_pipeline.destinations.crm_com_classic.envelope import is_done
from crm_pipeline.destinations.crm_com_classic.identifiers import Identifier, members
from crm_pipeline.destinations.crm_com_classic.sales import (
    Sale,
    Spend,
    sale_body,
    spend_body,
    zone_of,
)
from crm_pipeline.destinations.crm_com_classic.tokens import Login, TokenKeeper
from crm_pipeline.destinations.crm_com_classic.wire import (
    Award,
    BulkSales,
    DoneProduct,
    DoneSale,
    Participant,
    Preview,
    PurchaseEvent,
    SpendRequest,
    Synchronised,
    UndoneProduct,
    UndoneSale,
)
from crm_pipeline.http import ApiClient, Seams

_PURCHASES = "customer_events/purchases"


class ClassicClient:
    """One organisation's Web API. Thread-safe; a context manager that releases its token.

    ``zone`` is the time zone of the unit: times travel without one. ``fields`` names the members
    of an answer that are wanted (all without it). Raises ClassicRefusedError for what CRM.COM
    refuses, CredentialsRefusedError when it gives no token, and what ``ApiClient.send`` raises.
    """

    def __init__(
        self,
        base_url: str,
        *,
        login: Login,
        waits: Waits,
        zone: str = TIME_ZONE,
        connections: int = 8,
        seams: Seams | None = None,
    ) -> None:
        self._zone = zone_of(zone)
        # The envelope says it all, so no HTTP status is taken for a refusal of credentials.
        self._client = ApiClient(
            base_url,
            waits=waits,
            refused_statuses=frozenset(),
            is_done=is_done,
            connections=connections,
            seams=seams,
        )
        self._tokens = TokenKeeper(self._client, login, seams or Seams())
        self._calls = Calls(self._client, self._tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def log_in(self) -> None:
        """Get a token now, as proof that the credentials are good."""
        self._tokens.value()

    def close(self) -> None:
        """Release the token and give the connections back."""
        self._tokens.release()
        self._client.close()

    # -- who -------------------------------------------------------------------------------------

    def show_participant(self, who: Identifier, *, fields: Collection[str] = ()) -> Participant:
        """Identify a customer by an id, a number or what the customer shows."""
        return self._calls.read(
            "rewards_participants/show", members(who), Participant, fields=fields
        )

    def participants(
        self, *, fields: Collection[str] = (), page_size: int = PAGE_SIZE
    ) -> Iterator[Sequence[Participant]]:
        """Read all participants, page by page."""
        return self._calls.pages(
            "rewards_participants/list", {}, Participant, fields=fields, page_size=page_size
        )

    # -- purchases -------------------------------------------------------------------------------

    def preview_purchase(self, sale: Sale, *, fields: Collection[str] = ()) -> Preview:
        """Ask what a purchase would award and what could be spent; nothing is made."""
        body = sale_body(sale, self._zone)
        return self._calls.read(f"{_PURCHASES}/preview", body, Preview, fields=fields)

    def create_purchase(
        self, sale: Sale, *, fields: Collection[str] = (), tally: Tally | None = None
    ) -> PurchaseEvent:
        """Make a purchase, posted at once: awards follow. Sent once."""
        body = sale_body(sale, self._zone)
        return self._calls.write(
            f"{_PURCHASES}/create", body, PurchaseEvent, fields=fields, tally=tally
        )

    def create_purchases(self, sales: Mapping[str, Sale]) -> BulkSales:
        """Make many purchases, each by a name of ours, in calls of at most 1,000.

        Some may be refused under an OK answer; each name is in one of the two sets. An error
        leaves the later calls undone.
        """
        done: list[DoneSale] = []
        undone: list[UndoneSale] = []
        entries = [
            {"request_unique_identifier": name, **sale_body(sale, self._zone)}
            for name, sale in sales.items()
        ]
        for chunk in _chunks(entries, MOST_PURCHASES):
            told = self._calls.write(
                "customer_events/bulk/purchases/create", {PURCHASES_MEMBER: chunk}, BulkSales
            )
            done += told.processed_customer_events_set
            undone += told.unprocessed_customer_events_set
        return BulkSales(tuple(done), tuple(undone))

    def show_purchase(
        self, purchase: Identifier, *, fields: Collection[str] = (), tally: Tally | None = None
    ) -> PurchaseEvent:
        """Read one purchase by its id or number."""
        query = {purchase.member: purchase.query()}
        return self._calls.read_by_query(
            f"{_PURCHASES}/show", query, PurchaseEvent, fields=fields, tally=tally
        )

    def purchases(
        self,
        of: Identifier,
        *,
        fields: Collection[str] = (),
        page_size: int = PAGE_SIZE,
        tally: Tally | None = None,
    ) -> Iterator[Sequence[PurchaseEvent]]:
        """Read the purchases of a participant, an account or a classification, page by page."""
        return self._calls.pages(
            f"{_PURCHASES}/list",
            members(of),
            PurchaseEvent,
            fields=fields,
            page_size=page_size,
            tally=tally,
        )

    def cancel_purchase(self, purchase: Identifier, *, tally: Tally | None = None) -> PurchaseEvent:
        """Cancel a posted purchase; its awards and spends are taken back. Sent once."""
        return self._calls.write(
            f"{_PURCHASES}/cancel", members(purchase), PurchaseEvent, tally=tally
        )

    def spend(self, spend: Spend, *, fields: Collection[str] = ()) -> SpendRequest:
        """Spend on a purchase; the answer tells what was really spent. Sent once."""
        body = spend_body(spend, self._zone)
        return self._calls.write(
            "customer_events/spend_requests/create", body, SpendRequest, fields=fields
        )

    def awards(
        self, of: Identifier, *, fields: Collection[str] = (), page_size: int = PAGE_SIZE
    ) -> Iterator[Sequence[Award]]:
        """Read the awards of a participant or an account, page by page."""
        return self._calls.pages(
            "reward_transactions/awards/list",
            members(of),
            Award,
            fields=fields,
            page_size=page_size,
        )

    # -- products --------------------------------------------------------------------------------

    def synchronise_products(
        self,
        definition: Identifier,
        products: Sequence[Mapping[str, Any]],
        *,
        tally: Tally | None = None,
    ) -> Synchronised:
        """Create and update products, in calls of at most 1,000; rows may fail one by one.

        The same rows may be sent again. An error leaves the later calls undone.
        """
        done: list[DoneProduct] = []
        undone: list[UndoneProduct] = []
        for chunk in _chunks(products, MOST_PRODUCTS):
            body = {**members(definition), PRODUCTS_MEMBER: chunk}
            told = self._calls.write("products/synchronise", body, Synchronised, tally=tally)
            done += told.processed_products_set
            undone += told.unprocessed_products_set
        return Synchronised(tuple(done), tuple(undone))


def _chunks(rows: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk
