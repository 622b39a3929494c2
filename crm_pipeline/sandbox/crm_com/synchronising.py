"""Synchronisation of products: taken at once, done later, row by row.

A process moves when somebody asks for it or reads products, or when a test says so; never by
itself. Nothing of it shows before it ends.

Here: processes and what a row may hold. Not here: HTTP.
"""

import dataclasses
import random
from typing import Literal

import msgspec

from crm_pipeline.sandbox.crm_com.catalogue import Catalogue, Product
from crm_pipeline.sandbox.crm_com.contacts import new_id
from crm_pipeline.sandbox.crm_com.failures import RefusedError, invalid
from crm_pipeline.sandbox.crm_com.money import ABSENT, NULL, read_amount, read_currency, read_number
from crm_pipeline.sandbox.crm_com.shapes import NamedRef, read_shape
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches

#: Rows in one call: carried over from the classic API, which documents it.
MAX_ROWS = 1_000

State = Literal["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED"]


class SynchroniseBody(msgspec.Struct):
    """POST synchronise_products."""

    products: list[msgspec.Raw]


class ProductBody(msgspec.Struct):
    """One row; what is absent stays as it is, and null clears it if it can be cleared."""

    sku: str
    name: str | None = None
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    family: NamedRef | msgspec.UnsetType | None = msgspec.UNSET
    brand: NamedRef | msgspec.UnsetType | None = msgspec.UNSET
    type: NamedRef | msgspec.UnsetType | None = msgspec.UNSET
    price: msgspec.Raw = ABSENT
    currency_code: str | None = None
    tax_rate: msgspec.Raw = ABSENT


@dataclasses.dataclass(frozen=True, slots=True)
class RowFailure:
    """A row that changed nothing, and why."""

    sku: str
    error: str
    message: str


@dataclasses.dataclass(slots=True)
class Process:
    """One synchronisation. ``polls`` counts how often it was asked for."""

    id: str
    rows: list[bytes]
    state: State = "PENDING"
    polls: int = 0
    processed: int = 0
    failures: list[RowFailure] = dataclasses.field(default_factory=list)

    @property
    def is_running(self) -> bool:
        """Say whether it may still change something."""
        return self.state in ("PENDING", "IN_PROGRESS")


class Synchroniser:
    """The processes of one business."""

    def __init__(self, catalogue: Catalogue, currency: str, seed: str) -> None:
        """Work on ``catalogue``; a price without currency is in ``currency``."""
        self._catalogue = catalogue
        self._currency = currency
        self._chance = random.Random(seed)
        self._processes: dict[str, Process] = {}

    def begin(self, raw: bytes, switches: CrmComSwitches, now: int) -> Process:
        """Take a body; with no polls to wait for it is done at once. Raises RefusedError."""
        rows = read_shape(raw, SynchroniseBody).products
        if not 0 < len(rows) <= MAX_ROWS:
            raise invalid("products", f"Between 1 and {MAX_ROWS} products can be synchronised.")
        process = Process(new_id(self._chance), [bytes(row) for row in rows])
        self._processes[process.id] = process
        if switches.process_polls == 0:
            self._end(process, switches, now)
        return process

    def find(self, process_id: str) -> Process | None:
        """Return a process."""
        return self._processes.get(process_id)

    def all(self) -> list[Process]:
        """Return all processes, oldest first."""
        return list(self._processes.values())

    def poll(self, process: Process, switches: CrmComSwitches, now: int) -> None:
        """Let a process go on because somebody asked for it."""
        if not process.is_running:
            return
        process.polls += 1
        if process.polls > 1:
            process.state = "IN_PROGRESS"
        if process.polls > switches.process_polls:
            self._end(process, switches, now)

    def poll_all(self, switches: CrmComSwitches, now: int) -> None:
        """Let every process go on because somebody read products."""
        for process in self._processes.values():
            self.poll(process, switches, now)

    def finish_all(self, switches: CrmComSwitches, now: int) -> None:
        """Bring every process to its end, whatever is still to wait for."""
        for process in self._processes.values():
            if process.is_running:
                self._end(process, switches, now)

    def _end(self, process: Process, switches: CrmComSwitches, now: int) -> None:
        if switches.process_end == "never":
            process.state = "IN_PROGRESS"
            return
        if switches.process_end == "failed":
            process.state = "FAILED"
            return
        for row in process.rows:
            try:
                self._take(row, switches, now)
            except RefusedError as error:
                fields = " ".join([error.message, *error.parameters])
                process.failures.append(RowFailure(_sku_of(row), error.error, fields))
            else:
                process.processed += 1
        process.state = "COMPLETED"

    def _take(self, raw: bytes, switches: CrmComSwitches, now: int) -> None:
        row = read_shape(raw, ProductBody)
        if not row.sku.strip() or row.sku in switches.failing_skus:
            raise invalid("sku")
        known = self._catalogue.with_sku(row.sku)
        if known is None and not (row.name or "").strip():
            raise invalid("name", "A mandatory value is missing.")
        held = known.currency if known else None
        currency = read_currency(row.currency_code, held or self._currency)
        read_amount("price", row.price, currency)
        price, tax_rate = read_number("price", row.price), read_number("tax_rate", row.tax_rate)
        if tax_rate is not None and not 0 <= tax_rate < 1000:
            raise invalid("tax_rate")
        product = self._catalogue.ensure(
            row.sku, name=row.name, family_id=None, origin="synchronised", now=now
        )
        product.updated_on = now
        self._write(product, row, switches)
        if _says(row.price, switches):
            product.price = price
        if _says(row.tax_rate, switches):
            product.tax_rate = tax_rate
        if price is not None or row.currency_code is not None:
            product.currency = currency

    def _write(self, product: Product, row: ProductBody, switches: CrmComSwitches) -> None:
        catalogue = self._catalogue
        product.name = row.name or product.name
        if row.description or _clears(row.description, switches):
            product.description = row.description or ""
        for field, ref, names in (
            ("family_id", row.family, catalogue.families),
            ("brand_id", row.brand, catalogue.brands),
            ("type_id", row.type, catalogue.types),
        ):
            if isinstance(ref, NamedRef) and ref.text:
                setattr(product, field, names.ensure(ref.text))
            elif _clears(ref, switches):
                setattr(product, field, None)


def _clears(value: object, switches: CrmComSwitches) -> bool:
    """Say whether a member empties what the product has: an empty text, or null where it may."""
    return value == "" or (value is None and switches.product_null == "clears")


def _says(raw: msgspec.Raw, switches: CrmComSwitches) -> bool:
    """Say whether a number is given, or emptied."""
    text = bytes(raw).strip()
    return text != b"" and (text != bytes(NULL) or switches.product_null == "clears")


def _sku_of(raw: bytes) -> str:
    try:
        row = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(row.get("sku", "")) if isinstance(row, dict) else ""
