"""What the product can do, shown once each through its commands, where no other test does.

``docs/capabilities.md`` names the test of every capability.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sandbox.sopost.orders import UNKNOWN_STATUS
from crm_pipeline_tests.acceptance.product import LOKE_DATASETS, NOWHERE
from crm_pipeline_tests.acceptance.trading import LISTS, Trading, trading
from crm_pipeline_tests.webhooks.running import RunningReceiver

ORDERS_TOO = ("customers", "payments", "orders")


def contacts(shop: Trading) -> dict[str, dict[str, Any]]:
    """Return what the CRM holds, by code."""
    return {each["code"]: each for each in shop.crm.contacts(shop.organisation.crm_test_key)}


@contextmanager
def receiving(shop: Trading, **how: Any) -> Iterator[RunningReceiver]:
    """Run a receiver and subscribe it at the sources."""
    with shop.product.receiver() as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        shop.product.add_all(shop.organisation, url=url, **how)
        if "sources" in how:
            how["sources"]["sopost"]["webhooks"]["url"] = url
            shop.product.add_all(shop.organisation, url=url, **how)
        answer = shop.product.run_here("webhooks", "reset", "--org", shop.slug)
        assert answer.code == 0, answer.err
        yield receiver


# --- LOKE -----------------------------------------------------------------------------------------


def test_a_person_is_found_by_id_mail_and_phone_with_more_lists_than_a_page(tmp_path: Path):
    with trading(tmp_path, customers=5) as shop:
        organisation = shop.organisation.id
        person = shop.loke.create_customer(
            organisation, email="mina@example.com", phoneNumber="+61400111222"
        )
        names = [f"List {number:02}" for number in range(23)]
        for number, name in enumerate(names):
            shop.loke.create_list(organisation, name, list_id=f"L{number}")
            shop.loke.add_members(organisation, f"L{number}", [person["id"]])
        shop.loke.requests.clear()
        for words in (
            ("--id", person["id"]),
            ("--email", "mina@example.com"),
            ("--phone", "+61400111222"),
        ):
            answer = shop.product.run_here(
                "customers", "find", "--org", shop.slug, *words, "--json"
            )
            [found] = answer.document["customers"]
            assert found["id"] == person["id"]
            assert sorted(found["lists"]) == names
        assert (
            shop.product.run_here(
                "customers", "find", "--org", shop.slug, "--email", "nobody@example.com"
            ).code
            == 65
        )


def test_webhooks_may_be_reset_and_deleted_twice_and_end_all_deliveries(tmp_path: Path):
    with trading(tmp_path, customers=3) as shop, receiving(shop, lists=LISTS):
        for command, left in (("reset", 1), ("delete", 0), ("delete", 0), ("reset", 1)):
            answer = shop.product.run_here("webhooks", command, "--org", shop.slug)
            assert answer.code == 0, answer.err
            listed = shop.product.run_here("webhooks", "list", "--org", shop.slug, "--json")
            [loke] = [each for each in listed.document["webhooks"] if each["source"] == "loke"]
            assert len(loke["subscriptions"]) == left
            before = len(shop.loke.hooks.deliveries())
            shop.loke.mutate(shop.organisation.id, count=1)
            shop.loke.hooks.flush()
            assert (len(shop.loke.hooks.deliveries()) > before) is bool(left)


@pytest.mark.parametrize("is_opted_in", [True, False], ids=["orders wanted", "orders not wanted"])
def test_a_completed_order_is_never_a_second_spend(tmp_path: Path, is_opted_in: bool):
    datasets = ORDERS_TOO if is_opted_in else LOKE_DATASETS[:2]
    with (
        trading(tmp_path, customers=4) as shop,
        receiving(shop, lists={}, datasets=datasets),
    ):
        organisation = shop.organisation.id
        shop.sync()
        placed = [shop.loke.place_order(organisation, paid=True) for _ in range(3)]
        for order in placed:
            shop.loke.accept_order(organisation, order["id"])
            shop.clock.later(60)
            shop.loke.complete_order(organisation, order["id"])
        unpaid = shop.loke.place_order(organisation)
        shop.loke.complete_order(organisation, unpaid["id"])
        shop.loke.hooks.flush()
        told = {each.event for each in shop.loke.hooks.deliveries()}
        assert ("order.completed" in told) is is_opted_in
        shop.sync()
        assert shop.wrong() == []
        assert len(shop.desk.purchases()) == len(shop.loke.payments(organisation)) == 3
        kept = kept_orders(shop)
        assert len(kept) == (4 if is_opted_in else 0)
        assert set(kept.values()) <= {"COMPLETED"}


def kept_orders(shop: Trading) -> dict[str, str]:
    """Return the status of each order in the lake, as an analyst reads it."""
    folders = [each.parent for each in shop.product.folder.rglob("_delta_log")]
    found = [each for each in folders if each.parts[-2:] == ("loke", "orders")]
    if not found:
        return {}
    orders = DeltaTable(found[0]).to_pyarrow_table()
    rows = duckdb.sql("SELECT id, arg_max(status, version_at) FROM orders GROUP BY id")
    assert orders.num_rows
    return dict(rows.fetchall())


def test_a_page_of_a_list_that_fails_takes_nobody_s_tag(tmp_path: Path):
    with trading(tmp_path, customers=25) as shop:
        organisation = shop.organisation.id
        shop.loke.switch(member_page_size=10)
        people = [each["id"] for each in shop.loke.customers(organisation)]
        for list_id in LISTS:
            shop.loke.add_members(organisation, list_id, people)
        shop.sync()
        assert shop.wrong() == []
        shop.loke.remove_members(organisation, "LST-VIP", people[:2])
        shop.loke.faults.add(
            FaultRule(kind="status", status=500, path="/LST-VIP/", page=2, times=None)
        )
        shop.crm.requests.clear()
        shop.sync("--dataset", "loke/list_members", codes=(65, 75))
        assert shop.writes() == 0
        shop.loke.faults.clear()
        shop.sync("--dataset", "loke/list_members")
        assert shop.wrong() == []
        assert shop.crm.requests.count("PUT") == 2


def test_somebody_with_another_mail_and_phone_stays_the_same_contact(tmp_path: Path):
    with trading(tmp_path, customers=3) as shop:
        person = shop.loke.create_customer(
            shop.organisation.id, email="old@example.com", phoneNumber="+61400111222"
        )
        shop.sync()
        before = contacts(shop)[f"loke:{person['id']}"]
        shop.clock.later(60)
        changed = {"email": "new@example.com", "phoneNumber": "+61400333444"}
        shop.loke.update_customer(shop.organisation.id, person["id"], changed)
        shop.sync()
        after = contacts(shop)[f"loke:{person['id']}"]
        assert (after["id"], after["email"]) == (before["id"], "new@example.com")
        assert after["phone"]["number"] == "400333444"
        assert shop.wrong() == []


# --- SoPost ---------------------------------------------------------------------------------------


def sopost_of(shop: Trading, **changes: Any) -> dict[str, Any]:
    """Return the source's section of the organisation's file."""
    return {
        "base_url": shop.product.sandbox.sopost_url,
        "entity_type": "Organisation",
        "entity_id": shop.organisation.sopost_id,
        "webhooks": {"url": NOWHERE, "secret": {"env": "HOOK_PATH_SECRET"}},
        **changes,
    }


@pytest.mark.parametrize("entity", ["Organisation", "Campaign"])
def test_a_sopost_webhook_is_made_for_an_organisation_or_a_campaign(tmp_path: Path, entity: str):
    with trading(tmp_path) as shop:
        ids = {
            "Organisation": shop.organisation.sopost_id,
            "Campaign": shop.organisation.sopost_campaign_id,
        }
        section = sopost_of(shop, entity_type=entity, entity_id=ids[entity])
        with receiving(shop, lists=LISTS, sources={"sopost": section}):
            sopost = shop.product.sandbox.sopost
            order = sopost.place(shop.slug)
            sopost.advance(order, "APPROVED")
            sopost.hooks.flush()
            assert {each.outcome for each in sopost.hooks.deliveries()} == {"delivered"}
            shop.sync()
        assert len(contacts(shop)) == 1


def test_sample_orders_reach_the_crm_once_approved_with_the_configured_consent_only(
    tmp_path: Path,
):
    with trading(tmp_path) as shop:
        sopost = shop.product.sandbox.sopost
        brand = sopost.brand(shop.slug)
        samples = {
            "consents": [{"consent_id": brand.newsletter_id, "data_handler": brand.data_handler}],
            "questions": {"skin-type-7": "sopost_skin_type"},
        }
        how = {"sources": {"sopost": sopost_of(shop)}, "rules": {"samples": samples}}
        with receiving(shop, lists=LISTS, **how):
            # What it says of consent, and whether the person may be mailed in the end.
            kinds = {"newsletter": True, "several": True, "foreign": False, "terms": False}
            kinds |= {"pending": False, "empty": False}
            orders = {kind: sopost.place(shop.slug, consents=kind) for kind in kinds}
            rejected = sopost.place(shop.slug, consents="newsletter")
            sopost.advance(rejected, "REJECTED")
            sopost.hooks.flush()
            shop.sync()
            assert contacts(shop) == {}
            tell_in_disorder(shop, list(orders.values()))
            shop.sync()
            shop.sync("--full")
        assert mailable(shop) == {
            sopost.order(orders[kind]).body["email"]: may for kind, may in kinds.items()
        }
        assert skin_types(shop) == {"Dry", "Oily"}
        shop.crm.requests.clear()
        shop.sync("--full")
        assert shop.writes() == 0


def tell_in_disorder(shop: Trading, orders: list[str]) -> None:
    """Move orders on; what is told of them comes last one first, twice, with unknown states."""
    sopost = shop.product.sandbox.sopost
    sopost.hooks.switch(reorder=5, duplicate=1)
    for order, upto in zip(orders, itertools.cycle(["APPROVED", "DELIVERED"]), strict=False):
        sopost.advance(order, upto)
        sopost.tell_again(order, "PENDING")
    sopost.tell_again(orders[0], UNKNOWN_STATUS)
    sopost.hooks.flush()
    assert {each.outcome for each in sopost.hooks.deliveries()} == {"delivered"}


def skin_types(shop: Trading) -> set[str]:
    """Return the answers of the samples' question that a custom field holds."""
    fields = [field for each in contacts(shop).values() for field in each["custom_fields"]]
    return {each["value"] for each in fields if each["key"] == "sopost_skin_type"}


def mailable(shop: Trading) -> dict[str, bool]:
    return {each["email"]: each["email_opt_out"] is False for each in contacts(shop).values()}


# --- CRM.COM --------------------------------------------------------------------------------------


def test_a_catalogue_is_synchronised_and_its_process_followed_to_the_end(tmp_path: Path):
    with trading(tmp_path) as shop:
        rows = [
            {"sku": f"S{number}", "name": f"Tea {number}", "price": "4.50", "currency": "AUD"}
            for number in range(1_200)
        ]
        (tmp_path / "teas.json").write_text(json.dumps(rows))
        catalogue = {"catalogue": {"location": str(tmp_path / "teas.json")}}
        shop.product.add_all(shop.organisation, lists=LISTS, sources=catalogue)
        shop.crm.switch(process_polls=3)
        shop.sync("--dataset", "catalogue/products")
        assert len(shop.shop.products()) == len(rows)
        ends = {each["state"] for each in shop.shop.processes()}
        assert (ends, len(shop.shop.processes())) == ({"COMPLETED"}, 2)
        rows[7]["price"] = "5.00"
        (tmp_path / "teas.json").write_text(json.dumps(rows))
        shop.sync("--dataset", "catalogue/products")
        assert len(shop.shop.processes()) == 3


def test_the_test_key_s_account_and_the_live_one_never_mix(tmp_path: Path):
    with trading(tmp_path, customers=6) as shop:
        shop.sync()
        live = shop.crm.contacts(shop.organisation.crm_live_key)
        assert (len(contacts(shop)), live) == (6, [])
        told = shop.product.run_here("doctor", shop.slug)
        assert told.code == 0, told.out + told.err
        assert shop.organisation.crm_test_key not in told.out + told.err
