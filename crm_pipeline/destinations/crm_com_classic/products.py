"""Products by the thousand, each with an outcome of its own under one OK answer.

A synchronisation is an upsert by code where its definition enforces updates; otherwise a product
that exists is told as an error, and so are we. Either way sending it again does no harm: a call
whose answer was lost is simply tried again, whole.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crm_pipeline.core.records import Change, Fields, WriteResult
from crm_pipeline.destinations.crm_com_classic.assumptions import EXISTS_WORDS
from crm_pipeline.destinations.crm_com_classic.attempts import (
    FOUND,
    INVALID_VALUE,
    NOT_POSSIBLE,
    NOTHING_TO_SEND,
    acked,
    rejected,
    try_once,
)
from crm_pipeline.destinations.crm_com_classic.calls import Tally
from crm_pipeline.destinations.crm_com_classic.catalogue import SENT_PRODUCT_FIELDS
from crm_pipeline.destinations.crm_com_classic.client import ClassicClient
from crm_pipeline.destinations.crm_com_classic.envelope import shown_code
from crm_pipeline.destinations.crm_com_classic.identifiers import Identifier, identify, members
from crm_pipeline.destinations.crm_com_classic.wire import Synchronised, UndoneProduct

PARTLY_UPDATED = "partly_updated"
EXISTS = "product_exists"
ROW_UNTOLD = "row_untold"

_EXISTS_DETAIL = (
    "The product exists and the synchronisation definition does not update it. Switch"
    " `enforce update` on in CRM.COM's definition."
)


class ProductWriter:
    """Synchronises products. Thread-safe."""

    def __init__(self, client: ClassicClient, definition: Identifier | None) -> None:
        self._client = client
        self._definition = definition
        #: What may be there since a call of ours whose answer was lost, as it was sent then.
        self._in_doubt: dict[str, str] = {}
        self._lock = threading.Lock()

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Try some changes once in one call for each thousand; one result a change."""
        settled = {change.key: self._without_call(change) for change in changes}
        to_send = [change for change in changes if settled[change.key] is None]
        sent = self._send(to_send) if to_send else {}
        return [settled[change.key] or sent[change.key] for change in changes]

    def _without_call(self, change: Change) -> WriteResult | None:
        if change.kind == "archive":
            return _free(rejected(NOT_POSSIBLE, "Products cannot be taken out of the Web API."))
        if self._definition is None:
            return _free(
                rejected("definition_missing", "No synchronisation definition is configured.")
            )
        if not SENT_PRODUCT_FIELDS.intersection(change.changed):
            return _free(acked(change.crm_id or _code(change), reason=NOTHING_TO_SEND))
        return None

    def _send(self, changes: Sequence[Change]) -> dict[str, WriteResult]:
        told: dict[str, WriteResult] = {}

        def attempt(tally: Tally) -> WriteResult:
            told.update(self._synchronised(changes, tally))
            return WriteResult(status="acked")

        whole = try_once(attempt)
        results = {change.key: _to_be_repeated(told.get(change.key, whole)) for change in changes}
        self._remember(changes, results)
        first = changes[0].key
        return {
            key: replace(result, calls=whole.calls if key == first else 0)
            for key, result in results.items()
        }

    def _synchronised(self, changes: Sequence[Change], tally: Tally) -> dict[str, WriteResult]:
        assert self._definition is not None  # noqa: S101  `_without_call` saw to it
        rows = [product_body(_code(change), change.after) for change in changes]
        answer = self._client.synchronise_products(self._definition, rows, tally=tally)
        by_code = self._by_code(answer)
        lost = WriteResult(
            status="retry", reason=ROW_UNTOLD, detail="CRM.COM's answer leaves this row out."
        )
        results = {}
        for change in changes:
            result = by_code.get(_code(change), lost)
            if result.reason == EXISTS and self._is_our_own(change):
                result = acked(_code(change), reason=FOUND)
            results[change.key] = result
        return results

    def _by_code(self, answer: Synchronised) -> dict[str, WriteResult]:
        """Return what became of each row, by the code that we sent."""
        results = {
            each.request_code: acked(
                each.code or each.request_code,
                reason=PARTLY_UPDATED if each.message else "",
                detail="CRM.COM kept some of its own values." if each.message else "",
            )
            for each in answer.processed_products_set
        }
        for row in answer.unprocessed_products_set:
            if row.request_code is not None:
                results[row.request_code] = _refused(row)
        return results

    def _is_our_own(self, change: Change) -> bool:
        """Whether it is the very product that we may have written a moment ago."""
        with self._lock:
            return self._in_doubt.get(change.key) == change.fingerprint

    def _remember(self, changes: Sequence[Change], results: dict[str, WriteResult]) -> None:
        with self._lock:
            for change in changes:
                if results[change.key].status == "retry":
                    self._in_doubt[change.key] = change.fingerprint
                else:
                    self._in_doubt.pop(change.key, None)


def product_body(code: str, fields: Fields) -> dict[str, Any]:
    """Return one product of a synchronisation.

    >>> product_body("SKU-1", {"name": "Flat white", "family": "Coffee"})
    {'code': 'SKU-1', 'description': 'Flat white', 'family_identifier': {'name': 'Coffee'}}
    """
    body: dict[str, Any] = {"code": code}
    if fields.get("name"):
        body["description"] = str(fields["name"])
    for entity in ("family", "brand"):
        if fields.get(entity):
            body |= members(identify(entity, name=str(fields[entity])))
    return body


def _refused(row: UndoneProduct) -> WriteResult:
    code = shown_code(row.error_code)
    if any(word in code for word in EXISTS_WORDS):
        return rejected(EXISTS, _EXISTS_DETAIL)
    return rejected(INVALID_VALUE, f"CRM.COM refused the product ({code}).")


def _code(change: Change) -> str:
    return str(change.after.get("sku") or change.key.removeprefix("sku:"))


def _to_be_repeated(result: WriteResult) -> WriteResult:
    return replace(result, status="retry") if result.status == "unknown" else result


def _free(result: WriteResult) -> WriteResult:
    return replace(result, calls=0)
