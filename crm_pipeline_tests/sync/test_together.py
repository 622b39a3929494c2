"""Many organisations in one process: nobody waits for one that takes long."""

import threading

import pytest

from crm_pipeline.sync.together import Together

SECONDS = 30


class Desk:
    """Work that lasts until it is let go; ``begun`` and ``most`` say what was at work."""

    def __init__(self, *held: str) -> None:
        self.go = threading.Event()
        self.begun: list[str] = []
        self.most = 0
        self._held = held
        self._now = 0
        self._lock = threading.Lock()

    def work(self, name: str) -> str:
        with self._lock:
            self.begun.append(name)
            self._now += 1
            self.most = max(self.most, self._now)
        if name in self._held:
            assert self.go.wait(SECONDS)
        with self._lock:
            self._now -= 1
        return name


def test_everybody_is_answered_once_and_no_more_are_at_work_than_agreed():
    desk = Desk()
    names = [f"org-{number}" for number in range(40)]
    with Together(desk.work, at_once=3) as together:
        together.ask([*names, *names])
        assert sorted(together.answers()) == sorted(names)
        assert not together.is_busy
    assert desk.most <= 3


def test_quick_ones_do_not_wait_for_slow_ones_although_those_have_every_place():
    slow = ["a", "b", "c"]
    desk = Desk(*slow)
    with Together(desk.work, at_once=3, patience_seconds=0.05) as together:
        together.ask([*slow, "x", "y", "z"])
        answers = together.answers(SECONDS)
        assert sorted(next(answers) for _ in range(3)) == ["x", "y", "z"]
        assert together.at_work == set(slow)
        desk.go.set()
        assert sorted(answers) == slow


def test_there_is_an_end_to_how_many_are_at_work():
    desk = Desk("a", "b", "c")
    with Together(desk.work, at_once=1, most=2, patience_seconds=0.01) as together:
        together.ask("abc")
        assert list(together.answers(0.3)) == []
        assert desk.begun == ["a", "b"]
        desk.go.set()
        assert sorted(together.answers()) == ["a", "b", "c"]


def test_one_at_work_is_not_begun_again_and_is_answered_later():
    desk = Desk("slow")
    with Together(desk.work) as together:
        together.ask(["slow", "quick"])
        assert next(together.answers(SECONDS)) == "quick"
        together.ask(["slow", "quick"])
        assert next(together.answers(SECONDS)) == "quick"
        assert desk.begun.count("slow") == 1
        desk.go.set()
        assert list(together.answers()) == ["slow"]


def test_at_the_end_those_at_work_are_finished_and_the_rest_is_not_begun():
    desk = Desk("a")
    with Together(desk.work, at_once=1) as together:
        together.ask("ab")
        assert list(together.answers(0.05)) == []
        together.forget()
        desk.go.set()
        assert list(together.answers()) == ["a"]
    assert desk.begun == ["a"]


def test_what_the_work_raises_comes_out():
    def fail(name: str) -> str:
        raise ValueError(name)

    with Together(fail) as together:
        together.ask(["a"])
        with pytest.raises(ValueError, match="a"):
            list(together.answers())
