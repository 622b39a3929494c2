"""Windows, budgets and run keys, without Dagster and without waiting."""

import threading

from crm_pipeline.defs.window import digest_of, look_at_each, window_after


def test_a_round_of_windows_visits_every_organisation_once():
    slugs = [f"o{number:04}" for number in range(1000)]
    seen: list[str] = []
    cursor = None
    for _tick in range(4):
        window = window_after(slugs, cursor, 250)
        looked = look_at_each(window, lambda slug: slug, seconds=60, grace_seconds=0)
        seen += looked.answers
        cursor = looked.cursor
    assert sorted(seen) == slugs


def test_no_look_begins_after_the_time_is_up_and_the_next_tick_goes_on_from_there():
    now = [0.0]
    lock = threading.Lock()

    def look(slug: str) -> str:
        with lock:
            now[0] += 1
        return slug

    slugs = [f"o{number:04}" for number in range(1000)]
    looked = look_at_each(slugs, look, seconds=20, grace_seconds=60, monotonic=lambda: now[0])
    assert 20 <= len(looked.answers) <= 28  # eight looks are under way when the time is up
    assert list(looked.answers) == slugs[: len(looked.answers)]
    assert window_after(slugs, looked.cursor, 1) == [slugs[len(looked.answers)]]


def test_at_most_eight_organisations_are_looked_at_at_once():
    at_once, most = 0, 0
    lock = threading.Lock()

    def look(_slug: str) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        with lock:
            at_once -= 1
        return True

    look_at_each([str(n) for n in range(200)], look, seconds=60, grace_seconds=0)
    assert 1 <= most <= 8


def test_an_organisation_that_does_not_answer_in_time_is_passed_over_and_named():
    answered = threading.Event()

    def look(slug: str) -> str:
        if slug == "b":
            answered.wait(30)
        return slug

    looked = look_at_each(["a", "b", "c"], look, seconds=0.2, grace_seconds=0)
    answered.set()
    assert (list(looked.answers), looked.late, looked.cursor) == (["a", "c"], ("b",), "c")


def test_a_run_key_changes_with_the_version_seen_and_not_with_the_order():
    assert digest_of({"a": "1", "b": "1"}) == digest_of({"b": "1", "a": "1"})
    assert digest_of({"a": "1"}) != digest_of({"a": "2"})
    assert digest_of({"a": "1"}) != digest_of({"a": "1", "b": "1"})
