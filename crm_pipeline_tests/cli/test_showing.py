"""Screens and progress: what reaches the terminal, and what must not."""

import io
import json

import pytest

from crm_pipeline.cli.progress import ProgressDisplay
from crm_pipeline.cli.screen import Screen, visible
from crm_pipeline.core.records import Progress


def report(display: ProgressDisplay, done: int, total: int | None = 100) -> None:
    display.report(Progress(stage="apply", done=done, total=total, unit="changes"))


def test_plain_progress_is_at_most_a_line_a_second_and_always_the_last() -> None:
    stream, clock = io.StringIO(), iter([0.0, 0.4, 0.9, 1.0, 1.1, 1.2])
    with ProgressDisplay(stream, monotonic=lambda: next(clock)) as display:
        display.begin("harbour")
        for done in (1, 20, 40, 60, 80, 100):
            report(display, done)
    assert stream.getvalue().splitlines() == [
        "harbour apply: 1 of 100 changes",
        "harbour apply: 60 of 100 changes",
        "harbour apply: 100 of 100 changes",
    ]


def test_a_long_stage_is_told_more_rarely_after_a_while() -> None:
    stream, clock = io.StringIO(), iter(float(second) for second in range(100))
    with ProgressDisplay(stream, monotonic=lambda: next(clock)) as display:
        for done in range(100):
            report(display, done)
    assert len(stream.getvalue().splitlines()) == 10 + 9


def test_progress_names_notes_and_unknown_totals() -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream) as display:
        display.report(
            Progress(
                stage="pull", done=1_000, total=None, unit="rows", notes={"rejects": 2, "x": 0}
            )
        )
    assert stream.getvalue() == "pull: 1,000 rows, 2 rejects\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with ProgressDisplay(stream) as display:
        display.begin("harbour")
        report(display, 50)
        report(display, 100)
    assert "harbour apply" in stream.getvalue()
    assert "100/100" in stream.getvalue()


def test_nobody_is_told_when_quiet() -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream, is_quiet=True) as display:
        report(display, 100)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "\x07", "\x9b0m", "\u202e"])
def test_text_from_outside_cannot_steer_the_terminal(text: str) -> None:
    assert visible(text).isprintable()


def test_a_table_shows_markup_as_it_is_and_numbers_with_separators(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen().table("", ["Name", "Count"], [["[red]x[/red]\x1b", 12_345], ["y", 0]])
    out = capsys.readouterr().out
    assert "[red]x[/red]\\x1b" in out
    assert "12,345" in out
    assert "\x1b" not in out


def test_with_json_standard_output_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(is_json=True)
    screen.line("for people")
    screen.table("", ["a"], [["b"]])
    screen.result({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_without_json_there_is_no_document(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.result({"a": 1})
    screen.line("for people")
    screen.note("aside\x1b")
    assert capsys.readouterr() == ("for people\n", "aside\\x1b\n")
