"""What is over its age goes, and nothing that anybody works from goes with it."""

import datetime as dt
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from crm_pipeline.core.retention import RetentionRules
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Received
from crm_pipeline.sync.erase.running import erase
from crm_pipeline.sync.retention import apply_retention
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.acceptance.product import Product
from crm_pipeline_tests.acceptance.trading import LISTS, Trading, spelled_anew, trading
from crm_pipeline_tests.nights import night

CUSTOMERS = "landed/loke/customers"
LATER = 500


@pytest.fixture
def shop(tmp_path) -> Iterator[Trading]:
    with trading(tmp_path, customers=15, payments=15) as made:
        made.loke.switch(payments_earn=False)
        made.keep_webhooks()
        made.sync()
        yield made


def live(shop: Trading, seed: int, days: int = 3) -> None:
    """Let days pass: people change, join, buy, bring back, enter and leave lists; hooks come."""
    chance, organisation = random.Random(seed), shop.organisation.id
    for _ in range(days):
        shop.clock.later(60)
        shop.loke.mutate(organisation, count=chance.randint(1, 8), seed=chance.random())
        new = shop.loke.create_customer(organisation)["id"]
        sold = shop.loke.complete_payment(organisation, customer=new, total=999)
        if chance.random() < 0.5:
            shop.loke.refund(organisation, sold["id"])
        people = [each["id"] for each in shop.loke.customers(organisation)]
        for list_id in LISTS:
            shop.loke.add_members(organisation, list_id, chance.sample(people, 3))
        if chance.random() < 0.5:
            tell(shop, shop.kept_webhooks(), f"{seed}")
        options = chance.choice([(), ("--full",), ("--dataset", "loke/list_members")])
        shop.sync(*options, codes=(0, 65))  # a list may name somebody before the CRM has them
    shop.sync("--full")


def tell(shop: Trading, bodies: list[bytes], name: str) -> None:
    """Put webhooks into the inbox, as if nobody had ever heard of them."""
    with runtime(shop.product) as opened:
        opened.ledger.inbox.append(
            [
                Received(
                    organisation=shop.slug, source="loke", event=json.loads(body)["event"],
                    entity_id=str(number), dedup=f"{name}-{number}", body=body,
                    received_at=dt.datetime.now(dt.UTC),
                )
                for number, body in enumerate(bodies)
            ]
        )  # fmt: skip


def runtime(product: Product, days: int = 0) -> Runtime:
    return Runtime(
        load_settings(product.environment),
        clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=days),
    )


def retain(product: Product, slug: str, days: int = LATER, *, is_dry_run: bool = False, **rules):
    with runtime(product, days) as opened:
        organisation = opened.organisation(slug)
        if rules:
            organisation = replace(organisation, retention=RetentionRules(**rules))
        return apply_retention(opened.workspace, organisation, by="test", is_dry_run=is_dry_run)


def versions(product: Product, slug: str, table: str = CUSTOMERS) -> int:
    with runtime(product) as opened:
        return opened.workspace.lake.row_count(slug, table)


def copy_of(product: Product, folder) -> Product:
    made = Product(folder, product.sandbox, dict(product.waits))
    shutil.copytree(product.folder, folder)
    return made


def planned(product: Product, slug: str) -> list[object]:
    """Pull and plan; return everything that would be sent, object by object."""
    for command in (("pull",), ("pull", "--full")):
        assert product.run_here(*command, "--org", slug).code == 0
    found: list[object] = []
    for plan in product.run_here("plan", "--org", slug, "--full", "--json").document["plans"]:
        command = ("plan", "show", "--org", slug, plan["digest"], "--values", "--limit", "1000")
        shown = product.run_here(*command, "--json").document
        found.append((plan["object_kind"], plan["digest"], shown["changes"]))
    return found


@pytest.mark.parametrize(("seed", "days"), [(1, 1), *night(*((seed, 3) for seed in range(2, 8)))])
def test_retention_never_changes_the_next_plan(shop, tmp_path_factory, seed, days):
    live(shop, seed, days)
    other = copy_of(shop.product, tmp_path_factory.mktemp("copy") / "of")
    before = versions(shop.product, shop.slug)
    report = retain(shop.product, shop.slug)
    assert report.landed[CUSTOMERS] > 0
    assert report.counts["changes"] > 0
    assert versions(shop.product, shop.slug) == before - report.landed[CUSTOMERS]
    shop.loke.mutate(shop.organisation.id, count=5, seed=seed)
    with_it, without = planned(shop.product, shop.slug), planned(other, shop.slug)
    assert with_it == without
    assert any(changes for _, _, changes in with_it)
    shop.sync("--full")
    assert shop.wrong() == []


@pytest.mark.night
def test_after_retention_a_replay_adds_nothing_and_everything_still_works(shop):
    live(shop, seed=1, days=1)
    shop.sync()
    hooks = shop.kept_webhooks()
    tell(shop, hooks, "first")
    shop.sync()
    report = retain(shop.product, shop.slug)
    assert report.webhooks >= len(hooks)
    kept = versions(shop.product, shop.slug)
    shop.crm.requests.clear()
    tell(shop, [spelled_anew(each) for each in reversed(hooks)], "again")
    shop.sync()
    shop.sync("--full")
    assert shop.writes() == 0
    assert versions(shop.product, shop.slug) == kept
    assert retain(shop.product, shop.slug, 0).counts["landed"] == 0
    for command in (("verify", "--org", shop.slug), ("audit", "verify", "--org", shop.slug)):
        answer = shop.product.run_here(*command)
        assert answer.code == 0, answer.err + answer.out
    with runtime(shop.product) as opened:
        entries = [each.what for each in opened.ledger.audit.entries(shop.slug)]
    assert "retention_applied" in entries


@pytest.mark.night
def test_nothing_goes_before_its_time_and_a_dry_run_takes_nothing(shop):
    live(shop, seed=2, days=1)
    before = versions(shop.product, shop.slug)
    assert not any(retain(shop.product, shop.slug, 20).counts.values())
    report = retain(shop.product, shop.slug, is_dry_run=True)
    assert report.landed[CUSTOMERS] > 0
    assert versions(shop.product, shop.slug) == before
    ever = retain(shop.product, shop.slug, landed_days=None, webhooks_days=None, plans_days=None)
    assert not any(ever.counts.values())
    assert retain(shop.product, shop.slug).counts == report.counts
    assert not any(retain(shop.product, shop.slug).counts.values())


def test_explain_and_undo_say_honestly_what_is_not_kept_any_more(shop):
    organisation = shop.organisation.id
    person = shop.loke.customers(organisation)[0]["id"]
    sold = shop.loke.complete_payment(organisation, customer=person, total=700)["id"]
    shop.sync()
    plans = shop.product.run_here("plan", "list", "--org", shop.slug, "--json").document["plans"]
    first = [each["digest"] for each in plans if each["object_kind"] == "contact"][-1]
    shop.clock.later(60)
    shop.loke.refund(organisation, sold)
    shop.loke.mutate(organisation, count=3, seed=9)
    shop.sync()
    assert explained(shop, sold) == [False]
    retain(shop.product, shop.slug)
    assert explained(shop, sold) == [True]
    answer = shop.product.run_here("undo", "--org", shop.slug, first, "--dry-run", "--json")
    assert answer.code == 65
    assert "not kept any more" in answer.err
    answer = shop.product.run_here("plan", "show", "--org", shop.slug, first)
    assert answer.code == 0
    assert "not kept any more" in answer.out + answer.err


def explained(shop: Trading, payment: str) -> list[bool]:
    answer = shop.product.run_here("explain", shop.slug, "purchase", f"loke:{payment}", "--json")
    return [row["is_later"] for row in answer.document["rows"]]


def test_a_parked_webhook_stays_until_somebody_strikes_it_off(shop):
    tell(shop, [b'{"event": "nobody.knows", "organization": {}}'], "odd")
    shop.sync(codes=(65,))
    assert retain(shop.product, shop.slug).webhooks == 0
    (reject,) = shop.product.run_here("rejects", "list", "--org", shop.slug, "--json").document[
        "rejects"
    ]
    discard = ("rejects", "discard", "--org", shop.slug, reject["key"], "--reason", "a test")
    assert shop.product.run_here(*discard).code == 0
    assert retain(shop.product, shop.slug).webhooks == 1


@pytest.mark.night
def test_erased_people_stay_erased(shop):
    person = shop.loke.customers(shop.organisation.id)[0]["id"]
    live(shop, seed=4, days=1)
    with runtime(shop.product) as opened:
        organisation = opened.organisation(shop.slug)
        assert erase(opened.workspace, organisation, f"loke:{person}", who="test")
    retain(shop.product, shop.slug)
    tell(shop, [spelled_anew(each) for each in shop.kept_webhooks()], "again")
    shop.sync("--full")
    with runtime(shop.product) as opened:
        rows = opened.workspace.lake.scan(shop.slug, CUSTOMERS, where="id = ?", parameters=[person])
        assert sum(batch.num_rows for batch in rows) == 0


def test_the_command_only_says_what_would_go_until_it_is_told_to_do_it(shop):
    path = shop.product.config / f"{shop.slug}.yaml"
    path.write_text(path.read_text() + "\nretention: {landed_days: 7, plans_days: null}\n")
    answer = shop.product.run_here("retention", "show", "--org", shop.slug, "--json")
    assert answer.document["days"] == {
        "landed_days": 7, "webhooks_days": 30, "plans_days": None,
    }  # fmt: skip
    shop.product.waits["CRM_PIPELINE_TEST"] = "1"
    answer = shop.product.run_here("retention", "apply", "--all", "--json")
    assert (answer.code, answer.document["organisations"][0]["is_dry_run"]) == (0, True)
    answer = shop.product.run_here("retention", "apply", "--org", shop.slug, "--yes", "--json")
    assert (answer.code, answer.document["organisations"][0]["is_dry_run"]) == (0, False)
    assert shop.product.run_here("retention", "apply").code == 78
    assert shop.product.run_here("retention", "apply", "--org", "nobody").code == 78
