"""What can happen at the demo's vendors, and how one sees that the pipeline has carried it over.

Each act is a few steps at the fake vendors for one organisation; the last one says what to wait
for. Ids and kinds are told, never names or addresses of people. Not here: when acts happen
(``day``), and looking into our own lake (``landed``).
"""

import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from crm_pipeline.cli.demo.vendors import Vendors
from crm_pipeline.errors import DataError

SLUG = "harbour-coffee"
LIST = "VIP breakfast"
LIST_MEMBERS = "loke/list_members"
_LAST_ORDER = "sopost_last_order_id"
_CANCELLED = "CANCELLED"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened.

    ``is_there`` says whether it has arrived, None for a step on the way; ``arrived`` is what is
    told then, ``where`` the address that shows it. ``reads`` is a dataset that nobody tells of
    and that somebody has to ask for.
    """

    happened: str
    where: str = ""
    arrived: str = ""
    is_there: Callable[[], bool] | None = None
    reads: str = ""


class World:
    """The fake vendors as the acts see them."""

    def __init__(self, vendors: Vendors, is_landed: Callable[[str, str], bool]) -> None:
        """``is_landed`` says whether our lake holds a row: dataset, id."""
        self.vendors = vendors
        self.is_landed = is_landed

    def contacts(self) -> list[Row]:
        """Return the organisation's contacts in the fake CRM."""
        found: list[Row] = self.vendors.ask("crm_com", "state", organisation=SLUG)["customers"]
        return found

    def contact(self, key: str) -> Row | None:
        """Return one contact by our key."""
        return next((each for each in self.contacts() if each["code"] == key), None)

    def purchases(self, **query: str) -> list[Row]:
        """Return the organisation's purchases in the fake CRM, oldest first."""
        found: list[Row] = self.vendors.ask("crm_com", "purchases", organisation=SLUG, **query)[
            "rows"
        ]
        return found

    def somebody(self, *, is_tagged: bool | None = None) -> Row:
        """Return a customer whom the CRM already has, by chance. Raises DataError."""
        return _one_of(
            [
                each
                for each in self.contacts()
                if each["code"].startswith("loke:") and is_tagged in (None, bool(each["tags"]))
            ],
            "customer in the CRM",
        )

    def contacts_url(self) -> str:
        """Return where contacts are seen."""
        return self.vendors.url("crm_com", "state", organisation=SLUG)

    def purchases_url(self, reference: str) -> str:
        """Return where a purchase is seen."""
        return self.vendors.url(
            "crm_com", "purchases", organisation=SLUG, reference_number=reference
        )


Act = Callable[[World], Iterator[Step]]


def new_customer(world: World) -> Iterator[Step]:
    """Somebody signs up at LOKE."""
    (new,) = world.vendors.do("loke", "customers/add", organisation=SLUG, count=1)["ids"]
    yield Step(
        happened=f"LOKE: new customer {new}",
        where=world.contacts_url(),
        arrived=f"in the CRM: contact loke:{new}",
        is_there=lambda: world.contact(f"loke:{new}") is not None,
    )


def changed_email(world: World) -> Iterator[Step]:
    """A customer changes the e-mail address at LOKE."""
    known = _loke_id(world.somebody()["code"])
    email = f"demo-{secrets.token_hex(4)}@mail.example.com"
    fields = {"email": email}
    world.vendors.do("loke", "customers/mutate", organisation=SLUG, ids=[known], fields=fields)
    yield Step(
        happened=f"LOKE: customer {known} changes the e-mail address",
        where=world.contacts_url(),
        arrived=f"in the CRM: the address of contact loke:{known}",
        is_there=lambda: (world.contact(f"loke:{known}") or {}).get("email") == email,
    )


def payment(world: World) -> Iterator[Step]:
    """A customer pays at LOKE."""
    buyer = _loke_id(world.somebody()["code"])
    body = {"organisation": SLUG, "customer": buyer, "total": 450 + secrets.randbelow(3_000)}
    (paid,) = world.vendors.do("loke", "payments", **body)["ids"]
    yield Step(
        happened=f"LOKE: payment {paid} by customer {buyer}",
        where=world.purchases_url(f"loke:{paid}"),
        arrived=f"in the CRM: purchase loke:{paid}",
        is_there=lambda: bool(world.purchases(reference_number=f"loke:{paid}")),
    )


def refund(world: World) -> Iterator[Step]:
    """LOKE gives the money of the last purchase back."""
    known = [each for each in world.purchases() if _is_refundable(each)]
    reference = str(_last_of(known, "purchase to refund")["reference_number"])
    paid = _loke_id(reference)
    world.vendors.do("loke", "payments/refund", organisation=SLUG, payment=paid)
    yield Step(
        happened=f"LOKE: payment {paid} is refunded",
        where=world.purchases_url(reference),
        arrived=f"in the CRM: purchase {reference} is cancelled",
        is_there=lambda: _is_cancelled(world.purchases(reference_number=reference)),
    )


def list_join(world: World) -> Iterator[Step]:
    """A customer is put in a list at LOKE."""
    someone = world.somebody(is_tagged=False)
    known, tags = _loke_id(someone["code"]), someone["tags"]
    world.vendors.do("loke", "members/add", organisation=SLUG, list=LIST, ids=[known])
    yield _list_step(world, known, tags, f"LOKE: customer {known} joins a list")


def list_leave(world: World) -> Iterator[Step]:
    """A customer is taken off a list at LOKE."""
    before = {each["code"]: each["tags"] for each in world.contacts()}
    body = {"organisation": SLUG, "list": LIST, "count": 1}
    left = world.vendors.do("loke", "members/remove", **body)["ids"]
    known = str(_last_of(left, "member of the list"))
    tags = before.get(f"loke:{known}", [])
    yield _list_step(world, known, tags, f"LOKE: customer {known} leaves a list")


def sample(world: World) -> Iterator[Step]:
    """Somebody orders a sample at SoPost, and is approved."""
    body = {"organisation": SLUG, "consents": "newsletter", "answers": "one"}
    (order,) = world.vendors.do("sopost", "orders/place", **body)["ids"]
    yield Step(happened=f"SoPost: order {order} is PENDING; nobody's contact changes yet")
    world.vendors.do("sopost", "orders/move", ids=[order], status="APPROVED")
    yield Step(
        happened=f"SoPost: order {order} is APPROVED",
        where=world.contacts_url(),
        arrived=f"in the CRM: sample order {order}, at its contact",
        is_there=lambda: any(_has_order(each, order) for each in world.contacts()),
    )


def crm_order(world: World) -> Iterator[Step]:
    """A customer orders in the CRM itself, and we read it."""
    buyer = world.somebody()["code"]
    placed = world.vendors.do("crm_com", "orders/place", organisation=SLUG, contact=buyer)["id"]
    yield Step(
        happened=f"CRM.COM: order {placed} of contact {buyer}",
        where=world.vendors.url("crm_com", "orders", organisation=SLUG),
        arrived=f"in our lake: order {placed}",
        is_there=lambda: world.is_landed("crm_com/orders", placed),
    )


#: In the order of a day. A refund comes some acts after its payment, so that both are seen.
ACTS: dict[str, Act] = {
    "new-customer": new_customer,
    "payment": payment,
    "changed-email": changed_email,
    "list-join": list_join,
    "refund": refund,
    "sample": sample,
    "crm-order": crm_order,
    "list-leave": list_leave,
}


def titles() -> dict[str, str]:
    """Return what each act is, by name."""
    return {name: (act.__doc__ or "").strip() for name, act in ACTS.items()}


def _list_step(world: World, known: str, tags: Collection[str], happened: str) -> Step:
    def is_there() -> bool:
        contact = world.contact(f"loke:{known}")
        return contact is not None and set(contact["tags"]) != set(tags)

    return Step(
        happened=f"{happened}; LOKE tells nobody, so the list is read now",
        where=world.contacts_url(),
        arrived=f"in the CRM: the tags of contact loke:{known}",
        is_there=is_there,
        reads=LIST_MEMBERS,
    )


def _loke_id(key: str) -> str:
    return key.removeprefix("loke:")


def _has_order(contact: Row, order: str) -> bool:
    fields = {each["key"]: each["value"] for each in contact["custom_fields"]}
    return fields.get(_LAST_ORDER) == order


def _is_refundable(purchase: Row) -> bool:
    reference = str(purchase["reference_number"] or "")
    is_ours = reference.startswith("loke:") and not reference.endswith(":refund")
    return is_ours and purchase["state"] != _CANCELLED


def _is_cancelled(purchases: list[Row]) -> bool:
    return bool(purchases) and all(each["state"] == _CANCELLED for each in purchases)


def _one_of(found: list[Row], what: str) -> Row:
    return secrets.choice(found) if found else _last_of(found, what)


def _last_of(found: list[Any], what: str) -> Any:
    if not found:
        raise DataError(f"There is no {what}.", not_done="Nothing happened.")
    return found[-1]
