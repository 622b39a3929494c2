"""Watermarks: moved with everything that depends on them, by one reader at a time."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from crm_pipeline.errors import LeaseHeldError, LedgerDamagedError
from crm_pipeline.store.ledger import CompleteRead, Ledger, PullProgress
from crm_pipeline.store.ledger.schema import pull_progress
from crm_pipeline_tests.store.ledger.conformance.workbench import ORG, START, at_once

OF = (ORG, "loke", "customers")


def read(rows: int = 2, *, is_sweep: bool = True, **values: object) -> CompleteRead:
    recent = [(f"id{number}", f"print{number}") for number in range(rows)]
    return CompleteRead(
        **{"at": START, "batch": 1, "rows": rows, "is_sweep": is_sweep, "recent": recent, **values}
    )


def progress() -> PullProgress:
    return PullProgress(
        mode="sweep",
        next_link="/next?page=2",
        watermark_at=START,
        started_at=START,
        batch=1,
        pages=1,
        rows=100,
    )


@pytest.mark.parametrize("is_known", [False, True])
def test_a_watermark_that_somebody_moved_stays_with_everything_else(
    ledger: Ledger, is_known: bool
) -> None:
    first = ledger.watermarks.commit(*OF, read(1), expected=None)
    second = ledger.watermarks.commit(*OF, read(2), expected=first)
    ledger.watermarks.save_progress(*OF, progress())
    with pytest.raises(LeaseHeldError, match="was not moved"):
        ledger.watermarks.commit(*OF, read(9), expected=first if is_known else None)
    assert ledger.watermarks.get(*OF) == second
    assert len(ledger.watermarks.recent(*OF)) == 2
    assert ledger.watermarks.load_progress(*OF) == progress()


def test_a_watermark_that_is_gone_is_not_made_anew(ledger: Ledger) -> None:
    first = ledger.watermarks.commit(*OF, read(1), expected=None)
    with pytest.raises(LeaseHeldError):
        ledger.watermarks.commit(ORG, "loke", "payments", read(1), expected=first)
    assert ledger.watermarks.get(ORG, "loke", "payments") is None


def test_of_two_processes_that_commit_at_once_one_is_refused(
    ledger: Ledger, open_ledger: Callable[..., Ledger]
) -> None:
    other, expected = open_ledger(), None
    for _ in range(5):
        found = at_once(
            lambda before=expected: ledger.watermarks.commit(*OF, read(1), expected=before),
            lambda before=expected: other.watermarks.commit(*OF, read(2), expected=before),
        )
        assert sorted(type(one).__name__ for one in found) == ["LeaseHeldError", "Watermark"]
        expected = ledger.watermarks.get(*OF)
        assert expected is not None
        assert len(ledger.watermarks.recent(*OF)) == expected.last_row_count


def test_batch_numbers_only_grow_also_between_processes(
    ledger: Ledger, open_ledger: Callable[..., Ledger]
) -> None:
    other = open_ledger()
    numbers = at_once(
        *[lambda one=one: one.watermarks.next_batch(ORG) for one in (ledger, other) * 3]
    )
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert ledger.watermarks.next_batch("other") == 1


def test_progress_can_be_replaced_forgotten_and_found_damaged(ledger: Ledger) -> None:
    ledger.watermarks.save_progress(*OF, progress())
    ledger.watermarks.save_progress(*OF, progress())
    ledger.watermarks.clear_progress(*OF)
    assert ledger.watermarks.load_progress(*OF) is None
    ledger.watermarks.save_progress(*OF, progress())
    with ledger._database.write() as connection:
        connection.execute(sa.update(pull_progress).values(body='{"mode":'))
    with pytest.raises(LedgerDamagedError):
        ledger.watermarks.load_progress(*OF)
