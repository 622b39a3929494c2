"""What clients can call about products and their synchronisation."""

import urllib.parse
from typing import Any

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.catalogue import Product
from crm_pipeline.sandbox.crm_com.failures import NOT_FOUND, RefusedError, not_found
from crm_pipeline.sandbox.crm_com.money import answer_of
from crm_pipeline.sandbox.crm_com.search import cut, paged, read_wish
from crm_pipeline.sandbox.crm_com.synchronising import Process
from crm_pipeline.sandbox.crm_com.vendor import CrmCom, Handler, Key
from crm_pipeline.sandbox.wire import Answer, Request


class ProductCalls:
    """The endpoints of products over one fake CRM.COM."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Answer from ``crm_com``."""
        self._crm_com = crm_com
        self.table: dict[str, dict[str, Handler]] = {
            "/synchronise_products": {"POST": self._synchronise},
            "/processes/{id}": {"GET": self._read_process},
            "/products": {"GET": self._list},
            "/products/{id}": {"GET": self._read},
        }

    def _synchronise(self, request: Request, key: Key) -> Answer:
        switches, now = self._crm_com.switches, self._crm_com.now_seconds()
        process = key.business.synchroniser.begin(request.body, switches, now)
        return answer_of({switches.process_id_name: process.id})

    def _read_process(self, request: Request, key: Key) -> Answer:
        switches, now = self._crm_com.switches, self._crm_com.now_seconds()
        if not switches.is_process_shown:
            raise RefusedError(404, "No such resource.", NOT_FOUND, [request.path])
        process = key.business.synchroniser.find(request.segments[3])
        if process is None:
            raise not_found(switches.not_found_status, "process", request.segments[3])
        key.business.synchroniser.poll(process, switches, now)
        return answer_of(shown_process(process))

    def _list(self, request: Request, key: Key) -> Answer:
        self._pass_time(key)
        wish = read_wish(request.query, ())
        found = _found(key.business, request)
        content = [shown_product(key.business, each) for each in cut(found, wish)]
        return answer_of(paged(content, len(found), wish))

    def _read(self, request: Request, key: Key) -> Answer:
        self._pass_time(key)
        found = key.business.catalogue.find(request.segments[3])
        if found is None:
            status = self._crm_com.switches.not_found_status
            raise not_found(status, "product", request.segments[3])
        return answer_of(shown_product(key.business, found))

    def _pass_time(self, key: Key) -> None:
        switches, now = self._crm_com.switches, self._crm_com.now_seconds()
        key.business.synchroniser.poll_all(switches, now)


def shown_process(process: Process) -> dict[str, Any]:
    """Return a process as the API answers it."""
    return {
        "id": process.id,
        "state": process.state,
        "processed": process.processed,
        "failed": len(process.failures),
        "errors": process.failures,
    }


def shown_product(business: Business, product: Product) -> dict[str, Any]:
    """Return a product as the API answers it."""
    catalogue = business.catalogue
    price = {
        "price": product.price,
        "currency_code": product.currency,
        "tax_rate": product.tax_rate,
    }
    outlet = business.outlets[0]
    return {
        "id": product.id,
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "classification": "PRODUCT",
        "type_composition": "FLAT",
        "family": catalogue.families.shown(product.family_id),
        "brand": catalogue.brands.shown(product.brand_id),
        "type": catalogue.types.shown(product.type_id),
        "pricing": [] if product.price is None else [price],
        "tags": [],
        "custom_fields": [],
        "owner": {"id": outlet.id, "name": outlet.name},
        "created_on": product.created_on,
        "updated_on": product.updated_on,
    }


def _found(business: Business, request: Request) -> list[Product]:
    """Return the products that a query asks for, oldest first."""
    wanted = {
        "sku": _listed(request, "product_skus"),
        "id": _listed(request, "product_ids"),
        "name": _listed(request, "name"),
        "family_id": _listed(request, "family_id"),
        "brand_id": _listed(request, "brand_id"),
    }
    tests = {field: values for field, values in wanted.items() if values}
    text = request.query.get("search_value", "").lower()
    return [
        product
        for product in business.catalogue.oldest_first()
        if all(getattr(product, field) in values for field, values in tests.items())
        and (text in product.name.lower() or text in product.sku.lower())
    ]


def _listed(request: Request, name: str) -> set[str]:
    """Return the values of a parameter that may be repeated or hold commas."""
    pairs = urllib.parse.parse_qsl(request.query_string)
    texts = [value for key, value in pairs if key in (name, f"{name}[]")]
    whole = set(texts) if name == "name" else set()
    return whole or {part for text in texts for part in text.split(",") if part}
