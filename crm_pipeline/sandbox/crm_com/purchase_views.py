"""Purchases as the API shows them, and the page of them that a query asks for."""

from collections.abc import Callable, Sequence
from typing import Any

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.money import convert, major
from crm_pipeline.sandbox.crm_com.purchases import Line, Purchase
from crm_pipeline.sandbox.crm_com.search import DateBound, PageWish, cut, read_dates
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches

Test = Callable[[Purchase], bool]

_FOREVER = 10**12


def shown_purchase(business: Business, purchase: Purchase) -> dict[str, Any]:
    """Return a purchase as the API answers it; amounts are exact decimals."""
    currency, home, sums = purchase.currency, business.currency, purchase.amounts
    outlet = business.outlet(purchase.organisation_id)
    tap = business.outlet_at_tap(purchase.tap_code) if purchase.tap_code else None
    total_home = convert(sums.total, currency, home, purchase.rate)
    asked = purchase.asked_spend
    return {
        "id": purchase.id,
        "code": purchase.code,
        "reference_number": purchase.reference_number or None,
        "transaction_reference": purchase.reference_number or None,
        "state": purchase.state,
        "date": purchase.date,
        "created_date": int(purchase.created_at),
        "classification": business.catalogue.classifications.shown(purchase.classification_id),
        "products": [_shown_line(business, line, currency) for line in purchase.lines],
        "transaction_amounts": {
            "net": major(sums.net, currency),
            "tax": major(sums.tax, currency),
            "discount": major(sums.discount, currency),
            "total": major(sums.total, currency),
        },
        "currency_code": currency,
        "total_default_currency": major(total_home, home),
        "exchange_rate": purchase.rate,
        "default_currency_code": home,
        "contact": shown_person(business, purchase.contact_id),
        "payment_medium_identifier": purchase.payment_medium_identifier or None,
        "spend_request": None if asked is None else {"amount": major(asked, currency)},
        "organisation": {"id": outlet.id, "name": outlet.name} if outlet else None,
        "tap": {"id": tap.tap_id, "name": tap.name, "code": tap.tap_code} if tap else None,
        "rewards": shown_rewards(business, purchase),
        "ad_hoc_return": _shown_return(business, purchase),
        "notes": purchase.notes or None,
    }


def shown_rewards(business: Business, purchase: Purchase) -> dict[str, Any]:
    """Return what a purchase gave and took, in the business's currency."""
    home = business.currency
    return {
        "award": major(purchase.award, home),
        "spend": major(purchase.spend, home),
        "redeem": major(0, home),
    }


def find_purchases(
    business: Business,
    query: dict[str, str],
    wish: PageWish,
    switches: CrmComSwitches,
    now: float,
) -> tuple[list[Purchase], int]:
    """Return the page that a query asks for, and how many there are in all."""
    found = _candidates(business, query, switches)
    tests = _tests(query, switches)
    if found is None:
        # The one index that says all there is to say about dates.
        found = business.purchases.between(*_range_of(read_dates(query, ("date",))))
    else:
        tests += [_date_test(bound) for bound in read_dates(query, ("date",))]
    if switches.purchase_lag_seconds:
        newest = now - switches.purchase_lag_seconds
        tests.append(lambda purchase: purchase.created_at <= newest)
    if tests:
        found = [each for each in found if all(test(each) for test in tests)]
    if wish.sort == "DATE":
        found = sorted(found, key=lambda each: (each.date, each.serial))
    return cut(found, wish), len(found)


def _candidates(
    business: Business, query: dict[str, str], switches: CrmComSwitches
) -> Sequence[Purchase] | None:
    """Return few rows that hold all that match, oldest first; None when only dates can help."""
    store, text = business.purchases, query.get("search_value", "")
    if query.get("contact_id"):
        contact = business.contacts.find(query["contact_id"])
        return store.of_contact(contact["id"]) if contact else []
    if text and switches.purchase_search == "exact":
        return store.with_reference(text)
    if text and switches.purchase_search == "contains":
        return store.containing(text)
    return None


def _range_of(bounds: list[DateBound]) -> tuple[int, int]:
    """Return the first and the last second that pass."""
    first, last = 0, _FOREVER
    for bound in bounds:
        if bound.operator in ("gte", "gt", "eq"):
            first = max(first, bound.seconds + (bound.operator == "gt"))
        if bound.operator in ("lte", "lt", "eq"):
            last = min(last, bound.seconds - (bound.operator == "lt"))
    return first, last


def _tests(query: dict[str, str], switches: CrmComSwitches) -> list[Test]:
    tests: list[Test] = []
    text = query.get("search_value", "").lower()
    if text and switches.purchase_search == "exact":
        tests.append(lambda purchase: purchase.reference_number.lower() == text)
    elif text and switches.purchase_search == "contains" and query.get("contact_id"):
        tests.append(lambda purchase: text in purchase.reference_number.lower())
    for name, read in _EXACT.items():
        wanted = query.get(name)
        if wanted:
            tests.append(_equals(read, wanted))
    wanted_returns = query.get("is_ad_hoc_returned", "").lower()
    if wanted_returns in ("true", "false"):
        tests.append(lambda each: (each.returned is not None) == (wanted_returns == "true"))
    if not switches.are_returns_listed:
        tests.append(lambda purchase: purchase.returned is None)
    return tests


_EXACT: dict[str, Callable[[Purchase], str | None]] = {
    "classification_id": lambda purchase: purchase.classification_id,
    "organisations": lambda purchase: purchase.organisation_id,
    "state": lambda purchase: purchase.state,
}


def _equals(read: Callable[[Purchase], str | None], wanted: str) -> Test:
    return lambda purchase: read(purchase) == wanted


def _date_test(bound: DateBound) -> Test:
    return lambda purchase: bound.holds(purchase.date)


def shown_person(business: Business, contact_id: str | None) -> dict[str, Any] | None:
    """Return who it was, as purchases and orders name people; None when gone or never known."""
    contact = business.contacts.find(contact_id) if contact_id else None
    if contact is None:
        return None
    parts = (contact["first_name"], contact["last_name"], contact["company_name"])
    name = " ".join(part for part in parts if part)
    return {"id": contact["id"], "code": contact["code"], "name": name}


def _shown_line(business: Business, line: Line, currency: str) -> dict[str, Any]:
    product = business.catalogue.find(line.product_id)
    sums = {
        name: None if value is None else major(value, currency)
        for name, value in (
            ("net_amount", line.net),
            ("tax_amount", line.tax),
            ("total_amount", line.total),
        )
    }
    shown: dict[str, Any] = {"quantity": line.quantity, **sums}
    if product is not None:
        shown["product_sku"] = {"id": product.id, "sku": product.sku, "name": product.name}
        shown["product_family"] = business.catalogue.families.shown(product.family_id)
    return shown


def _shown_return(business: Business, purchase: Purchase) -> dict[str, Any] | None:
    if purchase.returned is None:
        return None
    return {
        "reference_number": purchase.reference_number or None,
        "date": purchase.date,
        "return_amount": major(purchase.returned.goods, purchase.currency),
        "return_spent_amount": major(0, purchase.currency),
        "amount": major(purchase.returned.debited, business.currency),
    }
