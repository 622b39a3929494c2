"""Lists of CRM.COM: paging, order, filters of contacts.

Here: what `GET /contacts` and other lists do with their parameters. Not here: the contacts.
"""

import dataclasses
import itertools
import operator
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from crm_pipeline.sandbox.crm_com.contacts import Contact, ContactStore
from crm_pipeline.sandbox.crm_com.failures import invalid

Row = TypeVar("Row")

DEFAULT_SIZE = 10
MAX_SIZE = 100
#: Totals are right up to this number only.
MAX_TOTAL = 10_000

_DATE_FILTER = re.compile(r"(\w+)\[(gte|gt|lte|lt|eq)\]")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
}
_SORTS = {
    "UPDATED_DATE": "updated_on",
    "FIRST_NAME": "first_name",
    "LAST_NAME": "last_name",
    "CODE": "code",
}
_EXACT = ("email_address", "code", "cim", "phone_number")


@dataclasses.dataclass(frozen=True, slots=True)
class PageWish:
    """Which page was asked for."""

    page: int
    size: int
    is_newest_first: bool
    sort: str
    wants_total: bool

    @property
    def start(self) -> int:
        """Return how many rows stand before the page."""
        return (self.page - 1) * self.size


@dataclasses.dataclass(frozen=True, slots=True)
class DateBound:
    """One bracket filter, in epoch seconds."""

    field: str
    operator: str
    seconds: int

    def holds(self, value: float | None) -> bool:
        """Say whether a time passes; none at all never does."""
        return value is not None and _COMPARE[self.operator](value, self.seconds)


def read_wish(query: dict[str, str], sorts: Collection[str] = tuple(_SORTS)) -> PageWish:
    """Read the paging parameters; a size above the maximum is lowered.

    ``sorts`` are the orders that the list knows besides that of creation.
    """
    order = query.get("order", "DESC").upper()
    sort = query.get("sort", "CREATED_DATE").upper()
    if order not in ("ASC", "DESC"):
        raise invalid("order")
    if sort != "CREATED_DATE" and sort not in sorts:
        raise invalid("sort")
    return PageWish(
        _positive(query, "page", 1),
        min(MAX_SIZE, _positive(query, "size", DEFAULT_SIZE)),
        order == "DESC",
        sort,
        query.get("include_total", "").lower() == "true",
    )


def paged(rows: list[Any], total: int, wish: PageWish) -> dict[str, Any]:
    """Wrap a page. ``size`` is the number of rows in it, as observed, not what was asked for."""
    return {
        "content": rows,
        "paging": {
            "page": wish.page,
            "size": len(rows),
            "total": min(total, MAX_TOTAL) if wish.wants_total else None,
            "has_more": wish.start + len(rows) < total and bool(rows),
        },
    }


def cut(found: Sequence[Row], wish: PageWish) -> list[Row]:
    """Cut a page out of rows that stand oldest first, without turning all of them."""
    if not wish.is_newest_first:
        return list(found[wish.start : wish.start + wish.size])
    stop = len(found) - wish.start
    return list(found[max(0, stop - wish.size) : max(0, stop)])[::-1]


def page_of_list(rows: list[Any], wish: PageWish) -> dict[str, Any]:
    """Cut a page out of a short list that is at hand."""
    return paged(rows[wish.start : wish.start + wish.size], len(rows), wish)


def read_dates(query: dict[str, str], fields: Collection[str]) -> list[DateBound]:
    """Read the bracket filters (``date[gte]=...``) of some fields. Raises RefusedError."""
    bounds = []
    for name, value in query.items():
        match = _DATE_FILTER.fullmatch(name)
        if match is None or match[1] not in fields:
            continue
        if not value.isdecimal():
            raise invalid(name)
        bounds.append(DateBound(match[1], match[2], int(value)))
    return bounds


def search(store: ContactStore, query: dict[str, str], wish: PageWish) -> tuple[list[Contact], int]:
    """Return the page of contacts that a query asks for, and how many there are in all."""
    tests = [_date_test(bound) for bound in read_dates(query, ("created_on", "updated_on"))]
    text = query.get("search_value", "")
    if text:
        tests.append(lambda contact: _mentions(contact, text.lower()))
    exact = [name for name in _EXACT if query.get(name)]
    if not tests and not exact and wish.sort == "CREATED_DATE":
        stop = wish.start + wish.size
        page = store.slice(wish.start, stop, newest_first=wish.is_newest_first)
        return page, len(store)
    found: Iterable[Contact]
    if exact:
        found = _exact(store, query, exact)
        if not wish.is_newest_first:
            found = list(found)[::-1]
    else:
        found = store.newest_first() if wish.is_newest_first else store.oldest_first()
    kept = [contact for contact in found if all(test(contact) for test in tests)]
    if wish.sort in _SORTS:
        field = _SORTS[wish.sort]
        kept.sort(key=lambda contact: contact[field] or "", reverse=wish.is_newest_first)
    return kept[wish.start : wish.start + wish.size], len(kept)


def _positive(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise invalid(name)
    return int(text)


def _date_test(bound: DateBound) -> Callable[[Contact], bool]:
    return lambda contact: bound.holds(contact[bound.field])


def _exact(store: ContactStore, query: dict[str, str], names: list[str]) -> list[Contact]:
    sets = [{each["id"] for each in _by(store, name, query[name])} for name in names]
    ids = set.intersection(*sets)
    found = itertools.chain.from_iterable(_by(store, name, query[name]) for name in names[:1])
    chosen = [contact for contact in found if contact["id"] in ids]
    return sorted(chosen, key=lambda contact: -contact["created_on"])


def _by(store: ContactStore, name: str, value: str) -> list[Contact]:
    if name == "email_address":
        found = store.with_email(value)
        return [found] if found else []
    if name == "code":
        found = store.find(value)
        return [found] if found and found["code"] == value else []
    if name == "phone_number":
        return store.with_phone_number(value)
    return store.with_cim(value)


def _mentions(contact: Contact, text: str) -> bool:
    phone = contact["phone"] or {"number": ""}
    whole = f"{contact['first_name'] or ''} {contact['last_name'] or ''}"
    places = (whole, contact["company_name"], contact["email"], contact["code"], phone["number"])
    return any(text in place.lower() for place in places if place)
