"""Who stands at the till? A contact by one means of identification, with the wallet's balances.

Whoever is found is compared with what was asked for, so that a list that is not filtered never
gives somebody else. Messages name the means, never its value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_pipeline.core.normalise import split_phone
from crm_pipeline.destinations.crm_com.contacts.reading import read_fields
from crm_pipeline.destinations.crm_com.values import as_object, as_objects, as_text
from crm_pipeline.errors import DataError
from crm_pipeline.pos.amounts import read_amount
from crm_pipeline.pos.assumptions import FILTERS
from crm_pipeline.pos.calls import PosCalls, loyalty_in
from crm_pipeline.pos.refusals import ContactUnknownError
from crm_pipeline.pos.values import Balance, ContactSummary, Means, Wallet

Content = Mapping[str, Any]


class People:
    """Looks contacts up. Thread-safe."""

    def __init__(self, calls: PosCalls) -> None:
        self._calls = calls

    def identify(self, means: Means) -> ContactSummary:
        """Return the one contact that a means identifies. Raises ContactUnknownError."""
        content = self._content(means)
        contact_id = as_text(content.get("id"))
        if contact_id is None:
            raise _unknown(means, "CRM.COM shows it without an id.")
        fields = read_fields(content)
        names = (fields.get("first_name"), fields.get("last_name"), content.get("company_name"))
        return ContactSummary(
            id=contact_id,
            code=as_text(content.get("code")) or "",
            name=" ".join(str(name) for name in names if name),
            wallet=self._wallet(content),
        )

    def contact_id(self, means: Means | None) -> str | None:
        """Return the id of whom a means identifies; None for nobody."""
        if means is None:
            return None
        return means.value if means.kind == "id" else as_text(self._content(means).get("id"))

    def _content(self, means: Means) -> Content:
        if not means.value.strip():
            raise _unknown(means, "Its value is empty.")
        if means.kind in ("id", "code"):
            return self._by_reference(means)
        if means.kind == "wallet":
            return self._by_wallet(means)
        return self._by_search(means)

    def _by_reference(self, means: Means) -> Content:
        found = self._calls.contact(means.value)
        if found is None or as_text(found.get(means.kind)) != means.value:
            raise _unknown(means, "CRM.COM has no such contact.")
        return found

    def _by_wallet(self, means: Means) -> Content:
        wallet = self._calls.wallet(means.value)
        if wallet is None or means.value not in (wallet.get("id"), wallet.get("code")):
            raise _unknown(means, "CRM.COM has no such wallet.")
        owner = as_text(as_object(wallet.get("contact")).get("id"))
        found = self._calls.contact(owner) if owner else None
        if found is None:
            raise _unknown(means, "CRM.COM does not say whose it is.")
        return found

    def _by_search(self, means: Means) -> Content:
        asked, is_meant = self._search_of(means)
        rows = self._calls.contacts_with(**{FILTERS[means.kind]: asked})
        found = {str(row.get("id")): row for row in rows if row.get("id") and is_meant(row)}
        if len(found) > 1:
            raise _unknown(means, "It identifies several contacts.")
        if not found:
            raise _unknown(means, "CRM.COM has no such contact.")
        return next(iter(found.values()))

    def _search_of(self, means: Means) -> tuple[str, Callable[[Content], bool]]:
        """Return what to ask for, and whether a contact that came is the one that was meant."""
        value = means.value.strip()
        if means.kind == "email":
            return (
                value,
                lambda row: str(read_fields(row).get("email")).casefold() == value.casefold(),
            )
        if means.kind == "phone":
            return _phone_search(means, value)
        if means.kind == "loyalty":
            return value, lambda row: value in self._loyalty_numbers(row)
        return value, lambda row: True

    def _loyalty_numbers(self, row: Content) -> frozenset[str | None]:
        shown = row.get("loyalty_identifiers")
        if isinstance(shown, list):
            return loyalty_in(shown)
        return self._calls.loyalty_numbers(str(row["id"]))

    def _wallet(self, content: Content) -> Wallet | None:
        named = as_object(content.get("wallet"))
        if not named:  # a list that does not show wallets
            named = as_object(as_object(self._calls.contact(str(content["id"]))).get("wallet"))
        reference = as_text(named.get("id")) or as_text(named.get("code"))
        shown = self._calls.wallet(reference) if reference else None
        if shown is None:
            return None
        return Wallet(
            id=str(shown["id"]),
            code=as_text(shown.get("code")) or as_text(named.get("code")) or "",
            balances=_balances(as_objects(shown.get("balances"))),
        )


def _phone_search(means: Means, value: str) -> tuple[str, Callable[[Content], bool]]:
    """Search by the digits after the country's code; with a plus, the country must fit as well."""
    if not value.startswith("+"):
        return value, lambda row: read_fields(row).get("phone_number") == value
    split = split_phone(value)
    if split is None:
        raise _unknown(means, "It is no phone number.")

    def is_meant(row: Content) -> bool:
        fields = read_fields(row)
        return (fields.get("phone_country"), fields.get("phone_number")) == split

    return split[1], is_meant


def _balances(rows: Sequence[Content]) -> tuple[Balance, ...]:
    return tuple(_balance(row) for row in rows if as_text(row.get("currency_code")))


def _balance(row: Content) -> Balance:
    currency = str(row["currency_code"])
    total, open_part, commerce = (
        read_amount(row.get(name, 0), currency) for name in ("total", "open", "commerce")
    )
    if total is None or open_part is None or commerce is None:
        raise DataError(
            "A balance of a wallet cannot be read exactly.",
            not_done="It is not shown.",
            remedy="Look at the wallet in CRM.COM.",
        )
    return Balance(currency=currency, total=total, open=open_part, commerce=commerce)


def _unknown(means: Means, why: str) -> ContactUnknownError:
    return ContactUnknownError(
        f"Nobody is identified by this {means.kind}. {why}",
        not_done="Nothing was sent.",
        remedy="Try another means of identification, or sell without a contact: the code on the"
        " receipt lets the contact claim it.",
    )
