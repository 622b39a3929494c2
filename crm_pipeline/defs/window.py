"""Looking at many organisations in little time: a window a tick, several at once, a time budget.

Pure apart from threads and a monotonic clock. Not here: what a look is (``changes``), Dagster.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

AT_ONCE = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked(Generic[T]):
    """Answers by organisation, those that had no answer in time, and where to go on."""

    answers: Mapping[str, T]
    late: tuple[str, ...]
    cursor: str


def window_after(slugs: Iterable[str], cursor: str | None, size: int) -> list[str]:
    """Return the next ``size`` slugs after ``cursor``, in order, from the start again at the end.

    >>> window_after(["c", "a", "b"], "b", 2)
    ['c', 'a']
    >>> window_after(["a", "b"], None, 9)
    ['a', 'b']
    """
    ordered = sorted(set(slugs))
    later = [slug for slug in ordered if slug > (cursor or "")]
    return [*later, *ordered[: len(ordered) - len(later)]][:size]


def look_at_each(
    window: Sequence[str],
    look: Callable[[str], T],
    *,
    seconds: float,
    grace_seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Looked[T]:
    """Look at a window's organisations, ``AT_ONCE`` at a time, and stop when the time is up.

    No look begins after ``seconds``. One that is still under way after ``grace_seconds`` more is
    late: it is passed over now and comes again in the next round. The cursor is the last one
    looked at, so that no organisation is skipped.
    """
    deadline = monotonic() + seconds

    def look_in_time(slug: str) -> T | None:
        return look(slug) if monotonic() < deadline else None

    pool = ThreadPoolExecutor(AT_ONCE, "look")
    futures = {slug: pool.submit(look_in_time, slug) for slug in window}
    wait(futures.values(), timeout=seconds + grace_seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    return _gathered(futures)


def _gathered(futures: Mapping[str, "Future[T | None]"]) -> Looked[T]:
    answers: dict[str, T] = {}
    late: list[str] = []
    cursor = ""
    for slug, future in futures.items():
        if future.cancelled():
            break
        if not future.done():
            late.append(slug)
        else:
            answer = future.result()
            if answer is None:
                break
            answers[slug] = answer
        cursor = slug
    return Looked(answers=answers, late=tuple(late), cursor=cursor)


def in_lists(slugs: Iterable[str], size: int) -> Iterator[list[str]]:
    """Cut a row of slugs into lists.

    >>> list(in_lists(["a", "b", "c"], 2))
    [['a', 'b'], ['c']]
    """
    rest = iter(slugs)
    while part := list(islice(rest, size)):
        yield part


def digest_of(versions: Mapping[str, str]) -> str:
    """Return one short name for organisations and the versions seen of them.

    >>> digest_of({"a": "1", "b": "2"}) == digest_of({"b": "2", "a": "1"})
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for slug, version in sorted(versions.items()):
        digest.update(f"{slug}\0{version}\n".encode())
    return digest.hexdigest()
