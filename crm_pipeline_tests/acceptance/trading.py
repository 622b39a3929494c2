"""An organisation that sells: its true state at LOKE, its CRM, and webhooks in any order."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.acceptance.oracle import differences, trade_differences, wrong_tags
from crm_pipeline_tests.acceptance.product import HOOK_SECRET, Product
from crm_pipeline_tests.webhooks.running import RunningReceiver

#: Lists at LOKE and the tags that they become.
LISTS = {"LST-LOYAL": "LOKE: Loyal Customers", "LST-VIP": "LOKE: VIP breakfast"}
#: The lists at LOKE; one customer can still be read while they fail.
LISTS_ARE_DOWN = FaultRule(kind="status", status=503, path=r"/(customers|payments)\?", times=None)


class LaterClock:
    """The time at the vendors: an hour ago, until a test lets more of it pass."""

    def __init__(self) -> None:
        self._behind = dt.timedelta(hours=1)

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) - self._behind

    def later(self, seconds: float) -> None:
        """Let time pass at the vendors, never beyond the wall clock."""
        self._behind = max(dt.timedelta(0), self._behind - dt.timedelta(seconds=seconds))


class Trading:
    """One organisation that sends everything, with the vendors behind it."""

    def __init__(self, product: Product, clock: LaterClock) -> None:
        self.product = product
        self.clock = clock
        self.organisation = product.sandbox.settings.organisations[0]
        self.slug = self.organisation.slug
        self.loke = product.sandbox.loke
        self.crm = product.sandbox.crm_com
        self.desk = Desk(self.crm, self.organisation.crm_test_key)
        self.shop = Shop(self.crm, self.organisation.crm_test_key)
        self.before: dict[str, int] = {}

    def sync(self, *options: str, codes: tuple[int, ...] = (0,), is_process: bool = False) -> None:
        """Sync through the command line, in this process or in one of its own."""
        run = self.product.run if is_process else self.product.run_here
        answer = run("sync", "--org", self.slug, *options)
        assert answer.code in codes, (answer.code, answer.err)

    def writes(self) -> int:
        """Count what was sent to the CRM since it was last forgotten."""
        return self.crm.requests.count("POST") + self.crm.requests.count("PUT")

    def wrong(self) -> list[str]:
        """Return every way in which the CRM differs from LOKE's true state."""
        key, organisation = self.organisation.crm_test_key, self.organisation.id
        contacts = self.crm.contacts(key)
        balances = {each["code"]: self.desk.balance(each["code"]) for each in contacts}
        payments = self.loke.payments(organisation)
        return (
            differences(self.loke.customers(organisation), contacts)
            + trade_differences(payments, self.desk.purchases(), balances, before=self.before)
            + self._wrong_tags(contacts)
            + self._wrong_products(payments)
        )

    def sell_to_newcomers(self, count: int = 15) -> None:
        """Let new customers buy something each."""
        for number in range(count):
            self.clock.later(2)
            person = self.loke.create_customer(self.organisation.id)["id"]
            self.loke.complete_payment(self.organisation.id, customer=person, total=900 + number)

    def _wrong_tags(self, contacts: list[dict[str, Any]]) -> list[str]:
        ids = {name: tag_id for tag_id, name in self.crm.tags.items()}
        wanted: dict[str, set[str]] = {}
        for list_id, tag in LISTS.items():
            for customer in self.loke.members(self.organisation.id, list_id):
                wanted.setdefault(f"loke:{customer}", set()).add(ids[tag])
        return wrong_tags(wanted, contacts, {ids[tag] for tag in LISTS.values()})

    def _wrong_products(self, payments: list[dict[str, Any]]) -> list[str]:
        counts = Counter(each["sku"] for each in self.shop.products())
        sold = {item["id"] for each in payments if each.get("customer") for item in each["items"]}
        twice = [f"product {sku} exists twice" for sku, count in counts.items() if count > 1]
        return twice + [f"product {sku} is missing" for sku in sold - counts.keys()]

    def keep_webhooks(self) -> None:
        """Subscribe to LOKE, and let it lose every webhook, which keeps a record of them."""
        answer = self.product.run_here("webhooks", "reset", "--org", self.slug)
        assert answer.code == 0, answer.err
        self.loke.hooks.switch(drop=1.0)

    def kept_webhooks(self) -> list[bytes]:
        """Return the bodies of all webhooks that LOKE meant to send, oldest first."""
        self.loke.hooks.flush()
        return [each.body.encode() for each in self.loke.hooks.deliveries()]

    def deliver(self, receiver: RunningReceiver, body: bytes) -> None:
        """Deliver one webhook, signed as LOKE signs it."""
        assert receiver.post_loke(body, HOOK_SECRET, self.slug).status == 200


@contextmanager
def trading(folder: Any, *, customers: int = 0, payments: int = 0, **how: Any) -> Iterator[Trading]:
    """Start the vendors and install the product, with two lists and nobody in them yet."""
    clock = LaterClock()
    organisation = SandboxOrganisation(
        id="01HACCEPTANCETRAD1NG000000",
        name="Corner Shop",
        customers=customers,
        payments=payments,
    )
    with Sandbox(SandboxSettings(organisations=(organisation,), clock=clock)) as sandbox:
        product = Product(folder, sandbox)
        for list_id, tag in LISTS.items():
            name = tag.removeprefix("LOKE: ")
            sandbox.loke.create_list(organisation.id, name, list_id=list_id)
        product.add_all(organisation, lists=LISTS, **how)
        yield Trading(product, clock)


def spelled_anew(body: bytes) -> bytes:
    """Return a webhook that says the same in other bytes: no receiver can know it again."""
    return json.dumps(json.loads(body), indent=1, sort_keys=True).encode()
