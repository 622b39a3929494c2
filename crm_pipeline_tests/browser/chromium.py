"""The browser and the ways through Dagster's UI that tests and pictures share."""

import contextlib
import re
import shutil
from collections.abc import Iterator

from playwright.sync_api import Locator, Page, expect, sync_playwright

from crm_pipeline_tests.browser.demo import ORGANISATION, RunningDemo

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Nothing but the page is fetched, and it works inside a container.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 1500, 950
#: Room for every asset of every group at once.
GRAPH_WIDTH, GRAPH_HEIGHT = 1700, 2300
SHOW_MILLISECONDS = 30_000
WORK_MILLISECONDS = 240_000
#: A demo's first sync: a sweep for each organisation, a verification, the checks.
FIRST_RUNS = 5
GROUPS = (
    "catalogue",
    "crm_com",
    "crm_com_classic",
    "crm_com_source",
    "desired",
    "loke",
    "sopost",
)
#: Assets that the demo's organisations have opted in to, and the others: a catalogue of products,
#: LOKE's orders, and three of a CRM.COM of the first generation.
USED, UNUSED = 12, 5


def find_chromium() -> str | None:
    """Return the Chromium of this machine, if there is one (``make browser`` installs it)."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browser_page(chromium: str) -> Iterator[Page]:
    """Give a page of a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(SHOW_MILLISECONDS)
        expect.set_options(timeout=SHOW_MILLISECONDS)
        try:
            yield page
        finally:
            browser.close()


def hide_navigation(page: Page, demo: RunningDemo) -> None:
    """Leave the room to what the page is about; the UI remembers it."""
    page.goto(f"{demo.dagster_url}/runs")
    page.get_by_text("Hide navigation").click()
    expect(page.get_by_text("Hide navigation")).to_have_count(0)


def open_graph(page: Page, demo: RunningDemo) -> None:
    """Show the asset graph, every group opened, large enough to read each asset's status."""
    page.set_viewport_size({"width": GRAPH_WIDTH, "height": GRAPH_HEIGHT})
    page.goto(f"{demo.dagster_url}/asset-groups")
    page.get_by_role("button", name="panel_show_right", exact=True).click()
    expect(page.locator("foreignObject.group")).to_have_count(len(GROUPS))
    for group in GROUPS:
        name = re.compile(rf"^{group}\d+$")  # with how many of its assets are well
        expect(page.locator("foreignObject.group").filter(has_text=name)).to_have_count(1)
    page.keyboard.press("Alt+E")
    expect(nodes(page, "3 partitions")).to_have_count(USED + UNUSED)


def nodes(page: Page, text: str) -> Locator:
    """Return the boxes of the assets in the graph, groups not among them, that say so."""
    return page.locator("foreignObject:not(.group)").filter(has_text=re.compile(text))


def open_partition(page: Page, demo: RunningDemo, asset: str) -> None:
    """Show the newest materialisation of one organisation."""
    page.goto(f"{demo.dagster_url}/assets/{asset}?view=partitions&partition={ORGANISATION}")
    expect(page.get_by_role("cell", name="digest").first).to_be_visible()


def value(page: Page, name: str) -> str:
    """Return what stands beside a name in the metadata on the page."""
    return page.get_by_role("row").filter(has_text=re.compile(f"^{name}")).first.inner_text()


def await_updates(page: Page, demo: RunningDemo, count: int) -> None:
    """Wait until the fake CRM got this many updates."""
    page.goto(demo.crm_com_counts_url)
    page.wait_for_function(
        """count => {  // a promise would count as true: ask and wait
            const request = new XMLHttpRequest();
            request.open("GET", location.href, false);
            request.send();
            const route = JSON.parse(request.responseText).routes["PUT /contacts/{id}"];
            return (route?.count ?? 0) >= count;
        }""",
        arg=count,
        polling=500,
        timeout=WORK_MILLISECONDS,
    )


def open_runs(page: Page, demo: RunningDemo, count: int) -> None:
    """Show the runs when so many have ended well, one that a sensor started among them."""
    page.goto(f"{demo.dagster_url}/runs")
    expect(page.get_by_text(re.compile("(changes|inbox)_sensor")).first).to_be_visible()
    ended_well = page.get_by_text("Success", exact=True)
    expect(ended_well.nth(count - 1)).to_be_visible(timeout=WORK_MILLISECONDS)
