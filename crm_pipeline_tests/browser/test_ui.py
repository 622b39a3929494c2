"""Dagster's UI as an operator sees it, in a real Chromium, on a real demo."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from crm_pipeline_tests.browser.chromium import (
    FIRST_RUNS,
    UNUSED,
    USED,
    WORK_MILLISECONDS,
    await_updates,
    browser_page,
    find_chromium,
    hide_navigation,
    nodes,
    open_graph,
    open_partition,
    open_runs,
    value,
)
from crm_pipeline_tests.browser.demo import RunningDemo, running_demo

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # waits for its turn: one demo at a time on this machine
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `make browser` installs it"),
]

ORGANISATIONS = ("harbour-coffee", "metro-sushi", "northside-bakery")
TABS = ("overview", "partitions", "events", "checks")
KEYS = (
    "loke/customers",
    "loke/payments",
    "loke/list_members",
    "sopost/orders",
    "contacts",
    "purchases",
    "crm_com/plan",
    "crm_com/applied",
    "crm_com/drift",
)


@pytest.fixture(scope="session")
def demo() -> Iterator[RunningDemo]:
    with running_demo() as demo:
        yield demo


@pytest.fixture
def page(demo: RunningDemo) -> Iterator[Page]:
    assert CHROMIUM is not None
    with browser_page(CHROMIUM) as page:
        hide_navigation(page, demo)
        yield page


def test_graph_and_partitions_show_every_asset_of_every_organisation_without_a_person(
    demo: RunningDemo, page: Page
) -> None:
    open_graph(page, demo)
    expect(nodes(page, "100% filled")).to_have_count(USED)
    expect(nodes(page, "Partitions0% filled")).to_have_count(UNUSED)
    for key in KEYS:
        for tab in TABS:
            page.goto(f"{demo.dagster_url}/assets/{key}?view={tab}")
            page.wait_for_load_state("networkidle")
            if tab == "partitions":
                for slug in ORGANISATIONS:
                    expect(page.get_by_text(slug, exact=True).first).to_be_visible()
            assert "@example" not in page.inner_text("body")


def test_a_change_at_loke_arrives_by_itself_and_its_plan_tells_counts_and_digest(
    demo: RunningDemo, page: Page
) -> None:
    demo.change_customers(25)
    await_updates(page, demo, 25)
    open_runs(page, demo, FIRST_RUNS + 1)
    open_partition(page, demo, "crm_com/plan")
    expect(page.get_by_text("mapping_version")).to_be_visible()
    assert "25" in value(page, "changes")
    assert "25" in value(page, "update")
    assert re.search(r"contact\s+0\s+25\s+0\s+\d+\s+[0-9a-f]{32}\b", value(page, "plans"))
    assert "@example" not in page.inner_text("body")


def test_a_backfill_of_all_organisations_from_the_graph_ends_well(
    demo: RunningDemo, page: Page
) -> None:
    open_graph(page, demo)
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("All", exact=True).click()
    expect(dialog.get_by_text("3 partitions")).to_be_visible()
    with page.expect_response(
        lambda answer: "LaunchPartitionBackfill" in (answer.request.post_data or "")
    ) as answered:
        dialog.get_by_role("button", name="Launch backfill").click()
    backfill = answered.value.json()["data"]["launchPartitionBackfill"]["backfillId"]
    page.goto(f"{demo.dagster_url}/runs?view=backfills")
    expect(page.get_by_text(backfill).first).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_be_visible(timeout=WORK_MILLISECONDS)
    assert "@example" not in page.inner_text("body")
