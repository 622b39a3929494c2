"""The pictures of the documents, taken from a real demo (``make screenshots``)."""

import sys
from pathlib import Path

from playwright.sync_api import FloatRect, Page, expect

from crm_pipeline_tests.browser.chromium import (
    FIRST_RUNS,
    HEIGHT,
    WIDTH,
    await_updates,
    browser_page,
    find_chromium,
    hide_navigation,
    nodes,
    open_graph,
    open_partition,
    open_runs,
)
from crm_pipeline_tests.browser.demo import RunningDemo, running_demo

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
#: Room for all of a plan's metadata: more than a screen.
PLAN_HEIGHT = 1900
#: Six runs of the overview, without the empty rest.
OVERVIEW_HEIGHT = 580
CHANGES = 25
MARGIN = 10


def main() -> int:
    """Take every picture; return the exit code."""
    chromium = find_chromium()
    if chromium is None:
        print("No Chromium here, no picture was taken. `make browser` installs it.")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with running_demo() as demo, browser_page(chromium) as page:
        hide_navigation(page, demo)
        take_graph(page, demo)
        take_checks(page, demo)
        take_lineage(page, demo)
        demo.change_customers(CHANGES)
        await_updates(page, demo, CHANGES)
        take_overview(page, demo)
        take_partitions(page, demo)
        take_plan(page, demo)
    return 0


def take_graph(page: Page, demo: RunningDemo) -> None:
    open_graph(page, demo)
    for asset, checks in {"customers": "1 / 1", "plan": "2 / 2", "applied": "2 / 2"}.items():
        expect(nodes(page, f"^{asset}.*{checks} Passed")).to_have_count(1)
    boxes = [each.bounding_box() for each in page.locator("foreignObject.group").all()]
    found = [box for box in boxes if box is not None]
    top = min(box["y"] for box in found) - MARGIN
    bottom = max(box["y"] + box["height"] for box in found) + MARGIN
    left = min(box["x"] for box in found) - MARGIN
    right = max(box["x"] + box["width"] for box in found) + MARGIN
    clip: FloatRect = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    save(page, "asset-graph", clip)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def take_checks(page: Page, demo: RunningDemo) -> None:
    page.goto(f"{demo.dagster_url}/assets/crm_com/plan?view=checks&checkDetail=consent")
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    save(page, "checks", down_to(page, "Plots"))


def take_lineage(page: Page, demo: RunningDemo) -> None:
    page.goto(f"{demo.dagster_url}/assets/crm_com/applied?view=overview")
    expect(page.get_by_text("phoneNumber").first).to_be_visible()
    save(page, "lineage")


def take_overview(page: Page, demo: RunningDemo) -> None:
    open_runs(page, demo, FIRST_RUNS + 1)
    save(page, "overview", {"x": 0, "y": 0, "width": WIDTH, "height": OVERVIEW_HEIGHT})


def take_partitions(page: Page, demo: RunningDemo) -> None:
    open_partition(page, demo, "crm_com/applied")
    save(page, "partitions", down_to(page, "Tags"))


def take_plan(page: Page, demo: RunningDemo) -> None:
    page.set_viewport_size({"width": WIDTH, "height": PLAN_HEIGHT})
    open_partition(page, demo, "crm_com/plan")
    expect(page.get_by_text("mapping_version")).to_be_visible()
    save(page, "plan-metadata", down_to(page, "Tags"))
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def down_to(page: Page, heading: str) -> FloatRect:
    """Return the part of the page above a heading."""
    page.wait_for_load_state("networkidle")
    found = page.get_by_text(heading, exact=True).last
    expect(found).to_be_visible()
    top: float = found.evaluate("element => element.getBoundingClientRect().top")
    return {"x": 0, "y": 0, "width": WIDTH, "height": top - MARGIN}


def save(page: Page, name: str, clip: FloatRect | None = None) -> None:
    """Store what the page shows now, or a part of it."""
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, clip=clip, animations="disabled")
    print(f"docs/images/{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
