"""Is a purchase of ours there? The question whose wrong answer would post money twice.

The Web API cannot search by reference number. The purchases of its person are read, or, when the
person is not known (after a crash), those of our classifications. Every doubt is an exception.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence

from crm_pipeline.core.records import FieldValue, RemoteObject
from crm_pipeline.destinations.crm_com_classic.assumptions import CANCELLED
from crm_pipeline.destinations.crm_com_classic.calls import Tally
from crm_pipeline.destinations.crm_com_classic.client import ClassicClient
from crm_pipeline.destinations.crm_com_classic.envelope import ClassicRefusedError
from crm_pipeline.destinations.crm_com_classic.identifiers import Identifier, identify
from crm_pipeline.destinations.crm_com_classic.wire import PurchaseEvent

_FIELDS = (
    "id",
    "number",
    "life_cycle_state",
    "reference_number",
    "external_system_reference_number",
    "total_amount",
    "net_amount",
    "vat_amount",
)


class Finder:
    """Looks purchases up by our keys. Thread-safe.

    ``remember`` keeps whose purchase an unknown outcome was about, for the look-up that follows.
    """

    def __init__(self, client: ClassicClient, classifications: Sequence[str]) -> None:
        self._client = client
        self._classifications = [
            identify("classification", name=classification) for classification in classifications
        ]
        self._payers: dict[str, Identifier] = {}
        self._lock = threading.Lock()

    def remember(self, key: str, payer: Identifier | None) -> None:
        """Keep, or forget with None, whose purchase a key is."""
        with self._lock:
            if payer is None:
                self._payers.pop(key, None)
            else:
                self._payers[key] = payer

    def find(self, key: str, crm_id: str | None, tally: Tally) -> PurchaseEvent | None:
        """Return the purchase of a key, or None when CRM.COM has none."""
        if crm_id:
            return self._shown(crm_id, tally)
        with self._lock:
            payer = self._payers.get(key)
        if payer is not None:
            # A person whom CRM.COM does not know (any more) says nothing about the purchase.
            with contextlib.suppress(ClassicRefusedError):
                return self.listed(key, payer, tally)
        found = (self.listed(key, each, tally) for each in self._classifications)
        return next((each for each in found if each is not None), None)

    def listed(self, key: str, of: Identifier, tally: Tally) -> PurchaseEvent | None:
        """Return the purchase of a key among those of somebody or of a classification."""
        for page in self._client.purchases(of, fields=_FIELDS, tally=tally):
            for each in page:
                if each.id and key in _numbers(each):
                    return each
        return None

    def _shown(self, crm_id: str, tally: Tally) -> PurchaseEvent | None:
        try:
            shown = self._client.show_purchase(
                identify("event", id=crm_id), fields=_FIELDS, tally=tally
            )
        except ClassicRefusedError:
            return None
        return shown if shown.id else None


def is_cancelled(purchase: PurchaseEvent) -> bool:
    """Whether a purchase was undone."""
    return purchase.life_cycle_state == CANCELLED


def as_remote(purchase: PurchaseEvent, key: str) -> RemoteObject:
    """Return a purchase in our field names."""
    amounts = {
        "total": purchase.total_amount,
        "net": purchase.net_amount,
        "tax": purchase.vat_amount,
    }
    fields: Mapping[str, FieldValue] = {
        name: str(value) for name, value in amounts.items() if value is not None
    }
    return RemoteObject(
        crm_id=str(purchase.id), key=key, fields={"reference_number": key, **fields}
    )


def _numbers(purchase: PurchaseEvent) -> Sequence[str | None]:
    return purchase.reference_number, purchase.external_system_reference_number
