"""Follows next links, and reads one page ahead where a scan will want it anyway."""

import contextlib
import gc
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from crm_pipeline.core.paging import LinkTrail
from crm_pipeline.core.ports import Page
from crm_pipeline.sync.land.report import Pages

#: Pages that wait, read, for the decoder.
AHEAD = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One page of a walk. ``link`` led to it (None: the first page)."""

    page: Page
    link: str | None
    is_again: bool = False


def fetch(api: Pages, dataset: str, link: str | None) -> Page:
    """Read the page that a link leads to; None is the first."""
    return api.first_page(dataset) if link is None else api.next_page(link)


def walk(
    api: Pages,
    dataset: str,
    start: str | None = None,
    *,
    trail: LinkTrail | None = None,
    is_careful: bool = False,
) -> Iterator[Step]:
    """Give the pages from ``start`` to the end; each is read when it is asked for.

    A careful walk reads every page a second time after its successor: rows that a deletion has
    moved from the successor to the page before are on one of the two.
    Raises SourceUnstableError when the links go in circles or without end.
    """
    trail = trail or LinkTrail()
    step = Step(fetch(api, dataset, start), start)
    yield step
    while step.page.next_link is not None:
        trail.follow(step.page.next_link)
        following = Step(fetch(api, dataset, step.page.next_link), step.page.next_link)
        if is_careful:
            yield Step(fetch(api, dataset, step.link), step.link, is_again=True)
        step = following
        yield step


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def ahead(steps: Iterator[Step]) -> Iterator[Step]:
    """Give the same steps, read by a thread that is one page ahead."""
    waiting: queue.Queue[Step | _Failed | None] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def offer(item: Step | _Failed | None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def read() -> None:
        try:
            for step in steps:
                offer(step)
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  handed to the thread that asked
            offer(_Failed(error))
        else:
            offer(None)

    thread = threading.Thread(target=read, name="pull-ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        stopped.set()
        thread.join()


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Keep the garbage collector from walking through millions of fresh values again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
