"""Products: what was sold, and what a catalogue lists, as the products that should exist.

A catalogue knows best: an item of a payment makes a product only while no catalogue lists it. Of
two payments the newer one names the item.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.normalise import exponent_of, money
from crm_pipeline.core.purchases import item_name, read_items
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.land.report import landed_table
from crm_pipeline.sync.resolve.passes import GROUP_ROWS, Pass, Stage
from crm_pipeline.sync.resolve.tables import ResolveReport, desired_row, merged
from crm_pipeline.sync.workspace import Workspace

PRODUCTS = "desired/products"
CATALOGUE = ("catalogue", "products")
PAYMENTS = ("loke", "payments")
_CATALOGUE_COLUMNS = (
    "sku",
    "version_at",
    "name",
    "description",
    "family",
    "brand",
    "price",
    "currency",
    "tax_rate",
)
_TEXTS = ("name", "description", "family", "brand", "currency", "tax_rate")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRules:
    """Where an organisation's products come from. ``extra`` are products of our own, by SKU."""

    is_from_payments: bool = True
    is_from_catalogue: bool = False
    sku_prefix: str = ""
    currency: str = "AUD"
    extra: Mapping[str, str] | None = None

    @property
    def version(self) -> str:
        """Return a short name of the rules: another one after every change to them."""
        return blake2b(msgspec.json.encode(self, order="sorted"), digest_size=6).hexdigest()


def product_key(sku: str) -> str:
    """Return our name of a product."""
    return f"sku:{sku}"


def resolve_products(
    ws: Workspace, organisation: str, rules: ProductRules, *, is_full: bool
) -> ResolveReport:
    """Bring ``desired/products`` up to the landed payments and catalogue.

    The caller holds the organisation's lease. A full pass of one source makes the other's anew as
    well, because both write the same table.
    """
    wanted = {
        CATALOGUE: rules.is_from_catalogue,
        PAYMENTS: rules.is_from_payments,
    }
    passes = [_pass(ws, organisation, names, rules) for names, is_on in wanted.items() if is_on]
    due = [one for one in passes if one.begin(is_full=is_full)]
    if any(one.is_full for one in due):
        due = [one for one in passes if one.begin(is_full=True)]
    listed = _listed_skus(ws, organisation) if rules.is_from_catalogue else frozenset()
    for place, one in enumerate(due):
        with ws.lake.session() as session:
            one.write(PRODUCTS, _groups(one, session, rules, listed), is_replacing=place == 0)
        one.end(())
    return merged([one.report() for one in passes])


def _pass(ws: Workspace, organisation: str, names: tuple[str, str], rules: ProductRules) -> Pass:
    source, dataset = names
    stage = Stage(
        name=f"resolve:products:{source}",
        source=source,
        dataset=dataset,
        table=PRODUCTS,
        version=rules.version,
    )
    return Pass(ws, organisation, stage)


def _listed_skus(ws: Workspace, organisation: str) -> frozenset[str]:
    table = landed_table(*CATALOGUE)
    if not ws.lake.exists(organisation, table):
        return frozenset()
    reader = ws.lake.scan(organisation, table, columns=("sku",))
    return frozenset(sku for batch in reader for sku in batch.column("sku").to_pylist())


def _groups(
    one: Pass, session: LakeSession, rules: ProductRules, listed: frozenset[str]
) -> Iterator[list[dict[str, Any]]]:
    is_catalogue = (one.stage.source, one.stage.dataset) == CATALOGUE
    products = (
        _of_catalogue(one, session) if is_catalogue else _of_payments(one, session, rules, listed)
    )
    group: list[dict[str, Any]] = []
    for product in products:
        group.append(product)
        if len(group) >= GROUP_ROWS:
            one.count(len(group))
            yield group
            group = []
    if group:
        one.count(len(group))
        yield group


def _of_catalogue(one: Pass, session: LakeSession) -> Iterator[dict[str, Any]]:
    for batch in session.sql(one.current(session, _CATALOGUE_COLUMNS)):
        for row in batch.to_pylist():
            exponent = exponent_of(str(row["currency"]))
            price = money(row["price"], exponent) if exponent is not None else None
            fields = {"sku": row["sku"], **{name: row[name] for name in _TEXTS}, "price": price}
            yield _product(row["sku"], row["version_at"], fields)


def _of_payments(
    one: Pass, session: LakeSession, rules: ProductRules, listed: frozenset[str]
) -> Iterator[dict[str, Any]]:
    """Give each item once, named as in the newest payment of the pass."""
    query = one.current(session, ("items", "version_at"), "WHERE items IS NOT NULL")
    newest: dict[str, dict[str, Any]] = {}
    for batch in session.sql(f"{query} ORDER BY version_at NULLS FIRST"):
        _take_items(newest, batch, rules)
    if not one.is_full:
        newest = _not_older(one, newest)
    extra = rules.extra or {}
    if newest:
        newest |= {
            sku: _product(sku, None, {"sku": sku, "name": name}) for sku, name in extra.items()
        }
    yield from (product for sku, product in sorted(newest.items()) if sku not in listed)


def _not_older(one: Pass, products: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out the products that a newer payment has named already."""
    if not one.ws.lake.exists(one.organisation, PRODUCTS):
        return dict(products)
    named: dict[str, Any] = {}
    reader = one.ws.lake.scan(one.organisation, PRODUCTS, columns=("source_id", "version_at"))
    for batch in reader:
        for row in batch.to_pylist():
            known = named.get(row["source_id"])
            if row["version_at"] and (known is None or known < row["version_at"]):
                named[row["source_id"]] = row["version_at"]
    return {
        sku: product
        for sku, product in products.items()
        if sku not in named or (product["version_at"] or named[sku]) >= named[sku]
    }


def _take_items(
    newest: dict[str, dict[str, Any]], batch: pa.RecordBatch, rules: ProductRules
) -> None:
    for row in batch.to_pylist():
        for item in read_items(row["items"]):
            sku = f"{rules.sku_prefix}{item['id']}"
            fields = {"sku": sku, "name": item_name(item)}
            newest[sku] = _product(sku, row["version_at"], fields)


def _product(sku: str, version_at: Any, fields: Row) -> dict[str, Any]:
    held = {name: value for name, value in fields.items() if value not in (None, "")}
    return desired_row(product_key(sku), sku, version_at, held)
