"""What the conformance suite must know of each source's twin in the sandbox.

A new source adds a ``SourceTwin``, a new dataset a ``DatasetTwin``; the suite does the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_pipeline.core.ports import Secret, SourceConnection
from crm_pipeline.core.records import Waits
from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.sources.conftest import ORGANISATION

WAITS = Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=3, connect_seconds=1.0)


@dataclass(frozen=True, kw_only=True)
class SourceTwin:
    """One source's twin. ``secret`` names the secret that a test may spoil.

    ``entity`` names what says whose records are read: a field of the connection, or an option;
    ``unknown_entity`` is one that nobody has, empty when the secret alone decides. ``remove`` takes
    our access away, if the source has a way to say so. ``token_path`` is where tokens come from,
    empty when there are none. ``checks`` is the least number of steps of a check. ``hook_url`` is
    where webhooks would be received, empty when they cannot be subscribed to.
    """

    vendor: Callable[[Sandbox], Any]
    base_url: Callable[[Sandbox], str]
    secrets: Callable[[Sandbox], Mapping[str, str]]
    secret: str
    entity: str = "organisation_id"
    own_entity: str = ""
    unknown_entity: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    token_path: str = ""
    remove: Callable[[Sandbox, int], None] | None = None
    checks: int = 3
    hook_url: str = ""

    def connection(
        self, sandbox: Sandbox, *, secret: str = "", entity: str = "", datasets: str = ""
    ) -> SourceConnection:
        """Return a connection to the twin, with another secret or entity where given."""
        values = dict(self.secrets(sandbox))
        if secret:
            values[self.secret] = secret
        chosen = entity or self.own_entity
        is_field = self.entity == "organisation_id"
        options = {**self.options, "datasets": datasets}
        return SourceConnection(
            organisation=ORGANISATION.slug,
            base_url=self.base_url(sandbox),
            token_url=sandbox.token_url if self.token_path else "",
            organisation_id=chosen if is_field else "",
            secrets={name: _reader(value) for name, value in values.items()},
            options=options if is_field else {**options, self.entity: chosen},
            waits=WAITS,
        )


def _reader(value: str) -> Secret:
    return lambda: value


@dataclass(frozen=True, kw_only=True)
class DatasetTwin:
    """One dataset's twin. ``path`` matches the calls that read its records.

    ``prepare`` puts records there; ``ids`` are those that must be landed, newest first where that
    is how they are read. ``unknown_id`` is a good id that nobody has, empty when the source cannot
    read one record; ``is_read_in_detail`` when that gives more than the list does.
    ``has_next_links`` says that pages hang together by LOKE's header.
    """

    source: str
    name: str
    path: str
    prepare: Callable[[Sandbox], object]
    ids: Callable[[Sandbox], Sequence[str]]
    unknown_id: str = ""
    bad_ids: tuple[str, ...] = ()
    is_read_in_detail: bool = False
    has_next_links: bool = False


LOKE_LISTS = ("01HTESTL1ST000000000000001", "01HTESTL1ST000000000000002")


def loke_payments(sandbox: Sandbox) -> None:
    """Complete 25 payments, ten to a page."""
    sandbox.loke.switch(payment_page_size=10)
    for _ in range(25):
        sandbox.loke.complete_payment(ORGANISATION.id)


def loke_lists(sandbox: Sandbox) -> None:
    """Fill two lists, ten members to a page."""
    sandbox.loke.switch(member_page_size=10)
    customers = [each["id"] for each in sandbox.loke.customers(ORGANISATION.id)]
    for list_id, members in zip(LOKE_LISTS, (customers, customers[:4]), strict=True):
        sandbox.loke.create_list(ORGANISATION.id, list_id, list_id=list_id)
        sandbox.loke.add_members(ORGANISATION.id, list_id, members)


def loke_orders(sandbox: Sandbox) -> None:
    """Place 25 orders wherever it happens, three to a page."""
    sandbox.loke.switch(order_page_size=3)
    LOKE_ORDERS[:] = [sandbox.loke.place_order(ORGANISATION.id)["id"] for _ in range(25)]


#: The orders that were placed last: the sandbox lists them by location only.
LOKE_ORDERS: list[str] = []


SOURCES: dict[str, SourceTwin] = {
    "loke": SourceTwin(
        vendor=lambda sandbox: sandbox.loke,
        base_url=lambda sandbox: sandbox.loke_url,
        secrets=lambda sandbox: {
            "client_id": sandbox.settings.client_id,
            "client_secret": sandbox.settings.client_secret,
        },
        secret="client_secret",
        own_entity=ORGANISATION.id,
        unknown_entity="01HNOBODY00000000000000000",
        token_path="/token",
        remove=lambda sandbox, status: sandbox.loke.uninstall(ORGANISATION.id, status=status),
        hook_url="https://hooks.example.com/webhooks/loke/test-cafe",
    ),
    "crm_com": SourceTwin(
        vendor=lambda sandbox: sandbox.crm_com,
        base_url=lambda sandbox: sandbox.crm_com_url,
        secrets=lambda _: {"api_key": ORGANISATION.crm_test_key},
        secret="api_key",
        checks=1,
    ),
    "sopost": SourceTwin(
        vendor=lambda sandbox: sandbox.sopost,
        base_url=lambda sandbox: sandbox.sopost_url,
        secrets=lambda sandbox: {
            "user_id": sandbox.settings.sopost_user_id,
            "password": sandbox.settings.sopost_password,
        },
        secret="password",
        entity="entity_id",
        own_entity=ORGANISATION.sopost_id,
        unknown_entity="00000000-0000-4000-8000-000000000000",
        options={"entity_type": "Organisation"},
        hook_url="https://hooks.example.com/webhooks/sopost/test-cafe/long-and-random",
    ),
}

#: Sources that are no server, so that nothing can be their twin: a catalogue is a file.
WITHOUT_TWIN = frozenset({"catalogue"})


def _make_payments(sandbox: Sandbox) -> None:
    sandbox.loke.switch(payment_page_size=10)
    for _ in range(25):
        sandbox.loke.complete_payment(ORGANISATION.id)


def _payment_ids(sandbox: Sandbox) -> list[str]:
    store = sandbox.loke.tenant(ORGANISATION.id).payments
    return [store.row(index)["id"] for index in store.orders["updated"].from_offset(0)]


def _make_lists(sandbox: Sandbox) -> None:
    sandbox.loke.switch(member_page_size=10)
    customers = [each["id"] for each in sandbox.loke.customers(ORGANISATION.id)]
    for name, count in (("VIP breakfast", 21), ("Nobody", 0), ("Regulars", 5)):
        made = sandbox.loke.create_list(ORGANISATION.id, name)
        sandbox.loke.add_members(ORGANISATION.id, made, customers[:count])


def _member_ids(sandbox: Sandbox) -> list[str]:
    lists = sandbox.loke.tenant(ORGANISATION.id).lists.lists
    return [f"{each.id}/{member}" for each in lists.values() for member in each.members]


def _make_orders(sandbox: Sandbox) -> None:
    sandbox.loke.switch(order_page_size=3)
    for _ in range(25):
        sandbox.loke.place_order(ORGANISATION.id)


def _order_ids(sandbox: Sandbox) -> list[str]:
    store = sandbox.loke.tenant(ORGANISATION.id).orders
    return [store.row(index)["id"] for index in store.orders["created"].from_offset(0)]


def _make_crm_orders(sandbox: Sandbox) -> None:
    shop = Shop(sandbox.crm_com, ORGANISATION.slug)
    for number in range(120):
        shop.place_order([(f"SKU-{number % 3}", 1, 500)])


DATASETS: tuple[DatasetTwin, ...] = (
    DatasetTwin(
        source="loke",
        name="customers",
        path="customers",
        prepare=lambda sandbox: sandbox.loke.seed(ORGANISATION.id, 25),
        ids=lambda sandbox: [each["id"] for each in sandbox.loke.customers(ORGANISATION.id)],
        unknown_id="01HNOBODY00000000000000000",
        bad_ids=("../../organizations",),
        has_next_links=True,
    ),
    DatasetTwin(
        source="loke",
        name="payments",
        path="payments",
        prepare=loke_payments,
        ids=lambda sandbox: [each["id"] for each in sandbox.loke.payments(ORGANISATION.id)],
        has_next_links=True,
    ),
    DatasetTwin(
        source="loke",
        name="list_members",
        path="members",
        prepare=loke_lists,
        ids=lambda sandbox: [
            f"{list_id}/{customer_id}"
            for list_id in LOKE_LISTS
            for customer_id in sandbox.loke.members(ORGANISATION.id, list_id)
        ],
    ),
    DatasetTwin(
        source="loke",
        name="orders",
        path="/orders",
        prepare=loke_orders,
        ids=lambda _sandbox: LOKE_ORDERS,
        unknown_id="00000000-0000-4000-8000-000000000000",
        bad_ids=("../../../customers",),
    ),
    DatasetTwin(
        source="loke",
        name="payments",
        path="/payments",
        prepare=_make_payments,
        ids=_payment_ids,
        has_next_links=True,
    ),
    DatasetTwin(
        source="loke",
        name="list_members",
        path="/members",
        prepare=_make_lists,
        ids=_member_ids,
    ),
    DatasetTwin(
        source="loke",
        name="orders",
        path="/orders",
        prepare=_make_orders,
        ids=_order_ids,
        unknown_id="nobodys-order",
        bad_ids=("../../customers",),
    ),
    DatasetTwin(
        source="crm_com",
        name="orders",
        path="/orders",
        prepare=_make_crm_orders,
        ids=lambda sandbox: [
            each["id"] for each in Shop(sandbox.crm_com, ORGANISATION.slug).orders()
        ],
        unknown_id="00000000-0000-4000-8000-000000000000",
        bad_ids=("../contacts",),
        is_read_in_detail=True,
    ),
    DatasetTwin(
        source="sopost",
        name="orders",
        path="/orders/",
        prepare=lambda sandbox: [sandbox.sopost.place(ORGANISATION.id) for _ in range(12)],
        ids=lambda sandbox: list(sandbox.sopost.orders),
        unknown_id="00000000-0000-4000-8000-000000000000",
        bad_ids=(
            "../../orders",
            "orders/x",
            "9a7b6c5d4e3f4a2b8c1d0e9f8a7b6c5d",
            "x" * 1_000_000,
            "",
        ),
    ),
)
