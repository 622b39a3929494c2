"""One organisation's live connection to the classic Web API, as the engine sees it.

Here: what is whose, and what the doctor says. Not here: one change (``writing``, ``products``).
"""

from collections.abc import Iterator, Sequence

import msgspec

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Change, Finding, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com_classic.assumptions import (
    CLASSIFICATION,
    DEFINITION_KEY,
    TIME_ZONE,
)
from crm_pipeline.destinations.crm_com_classic.calls import Tally
from crm_pipeline.destinations.crm_com_classic.catalogue import PRODUCT, PURCHASE, REFUND
from crm_pipeline.destinations.crm_com_classic.client import ClassicClient
from crm_pipeline.destinations.crm_com_classic.finding import Finder, as_remote, is_cancelled
from crm_pipeline.destinations.crm_com_classic.identifiers import parse_identifier
from crm_pipeline.destinations.crm_com_classic.products import ProductWriter
from crm_pipeline.destinations.crm_com_classic.tokens import WebApiKey
from crm_pipeline.destinations.crm_com_classic.writing import PurchaseWriter, RefundWriter
from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.http import Seams

_REFUND_END = ":refund"

#: What the classic generation cannot hold, by both names that settings use, and why.
_IMPOSSIBLE = {
    "contact": "contacts are not written: the Web API has no code of ours to find them by again",
    "membership": "memberships are not written: the Web API has no tags",
}


class ClassicApi:
    """Writes and finds products, purchases and refunds. Thread-safe.

    Options: ``unit`` (where purchases happen), ``product_definition`` (the synchronisation
    definition), ``time_zone`` (of the unit), ``classifications`` (JSON list of names by which our
    purchases can be listed), ``sends`` (the kinds asked for).
    """

    def __init__(self, connection: DestinationConnection, *, seams: Seams | None = None) -> None:
        options = connection.options
        self._options = options
        # The unit of a token must be told plainly; a setting may say by which key it is meant.
        unit = options.get("unit", "")
        self._client = ClassicClient(
            connection.base_url,
            login=WebApiKey(key=connection.api_key, unit=unit.rpartition("=")[2] or None),
            waits=connection.waits,
            zone=options.get("time_zone") or TIME_ZONE,
            connections=connection.limits.concurrency + 2,
            seams=seams,
        )
        self._finder = Finder(self._client, _classifications(options.get("classifications")))
        definition = options.get("product_definition", "")
        self._products = ProductWriter(
            self._client,
            parse_identifier("definition", definition, default_key=DEFINITION_KEY)
            if definition
            else None,
        )
        self._purchases = PurchaseWriter(self._client, self._finder, unit)
        self._refunds = RefundWriter(self._client, self._finder)

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Try each change once. Raises only what stops everything, such as a refused key."""
        for change in changes:
            _check_kind(change.object_kind)
        if changes and changes[0].object_kind == PRODUCT:
            return self._products.write(changes)
        return [self._write_one(change) for change in changes]

    def find(self, object_kind: str, key: str, crm_id: str | None = None) -> RemoteObject | None:
        """Read a purchase, or say whether a refund was done, by CRM id or key.

        Products cannot be read: None, so that they are synchronised again, which is harmless.
        """
        _check_kind(object_kind)
        if object_kind == PRODUCT:
            return None
        purchase = self._finder.find(key.removesuffix(_REFUND_END), crm_id, Tally())
        if purchase is None or (object_kind == REFUND and not is_cancelled(purchase)):
            return None
        return as_remote(purchase, key)

    def read_all(self, object_kind: str) -> Iterator[Sequence[RemoteObject]]:
        """Give nothing: no kind can be listed as a whole."""
        _check_kind(object_kind)
        return iter(())

    def check(self) -> Sequence[Finding]:
        """Prove the key and the unit, then that what is to be sent can be."""
        try:
            self._client.log_in()
        except CrmPipelineError as error:
            return [Finding(check="key", is_ok=False, message=error.happened, remedy=error.remedy)]
        good = Finding(
            check="key", is_ok=True, message="CRM.COM gives a token for the web API key and unit."
        )
        return [good, *self._possible(), *self._settings()]

    def close(self) -> None:
        """Release the token and give the connections back."""
        self._client.close()

    def _write_one(self, change: Change) -> WriteResult:
        writer = self._purchases if change.object_kind == PURCHASE else self._refunds
        return writer.write(change)

    def _sends(self) -> frozenset[str]:
        words = self._options.get("sends", "").split(",")
        return frozenset(word.strip().removesuffix("s") for word in words)

    def _possible(self) -> Iterator[Finding]:
        for kind in sorted(self._sends().intersection(_IMPOSSIBLE)):
            yield Finding(
                check=f"sends {kind}",
                is_ok=False,
                message=f"The classic generation: {_IMPOSSIBLE[kind]}.",
                remedy=f"Take {kind}s out of `sends`, or use the destination `crm_com`.",
            )

    def _settings(self) -> Iterator[Finding]:
        needs = (
            (PURCHASE, "unit", "the unit in which purchases happen"),
            (PRODUCT, "product_definition", "the synchronisation definition of products"),
        )
        for kind, name, meaning in needs:
            if kind in self._sends() and not self._options.get(name):
                yield Finding(
                    check=name,
                    is_ok=False,
                    message=f"`{name}` is not set: {meaning}.",
                    remedy=f"Add `{name}` to the destination in the organisation's file.",
                )


def _classifications(text: str | None) -> Sequence[str]:
    names = msgspec.json.decode(text, type=list[str]) if text else []
    return [name for name in names if name] or [CLASSIFICATION]


def _check_kind(object_kind: str) -> None:
    if object_kind not in (PRODUCT, PURCHASE, REFUND):
        raise ValueError(f"the classic CRM.COM has no objects of kind {object_kind!r} here")
