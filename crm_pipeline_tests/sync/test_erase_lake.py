"""Rows leave a table for ever: no old file, no half-written one, no spill of a dead process."""

import datetime as dt
import os
from pathlib import Path

import pyarrow as pa
import pytest

from crm_pipeline.store.lake import Lake, RowsToErase
from crm_pipeline.store.lake.places import RemotePlace

TABLE = "landed/loke/payments"
THEIRS = RowsToErase(conditions=[{"customer_id": {"c1"}}])


def clock() -> dt.datetime:
    return dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def rows(*values: tuple[str, str, int]) -> pa.RecordBatchReader:
    listed = [{"id": a, "customer_id": b, "batch": batch} for a, b, batch in values]
    return pa.Table.from_pylist(listed).to_reader()


@pytest.fixture(params=["local", "remote"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    if request.param == "remote":
        place = RemotePlace(f"file://{tmp_path}", {"allow_unsafe_rename": "true"})
        monkeypatch.setattr("crm_pipeline.store.lake.lake.place_for", lambda *_: place)
        (tmp_path / "acme" / TABLE).mkdir(parents=True)
    made = Lake(str(tmp_path), clock=clock)
    made.append("acme", TABLE, rows(("1", "c1", 1), ("2", "c2", 1)))
    made.append("acme", TABLE, rows(("3", "c1", 2)))
    made.append("acme", TABLE, rows(("4", "c3", 3)))
    return made


def ids(lake: Lake) -> set[str]:
    return set(lake.scan("acme", TABLE).read_all().column("id").to_pylist())


def test_only_files_with_such_rows_are_written_anew(lake: Lake, tmp_path: Path):
    eraser = lake.eraser()
    before = {each.name for each in (tmp_path / "acme" / TABLE).glob("*.parquet")}
    assert eraser.tables("acme") == [TABLE]
    assert eraser.count("acme", TABLE, THEIRS) == 2
    assert eraser.erase("acme", TABLE, THEIRS) == 2
    assert ids(lake) == {"2", "4"}
    assert eraser.drop_history("acme", TABLE) == 2
    after = {each.name for each in (tmp_path / "acme" / TABLE).glob("*.parquet")}
    assert len(after & before) == 1
    assert len(after) == 2
    assert lake.newest_batch("acme", TABLE) == 3
    assert ids(lake) == {"2", "4"}


def test_erasing_is_safe_to_repeat_and_a_table_may_end_without_rows(lake: Lake):
    eraser = lake.eraser()
    everybody = RowsToErase(conditions=[{"customer_id": {"c1", "c2"}}, {"id": {"4"}}])
    assert eraser.erase("acme", TABLE, everybody) == 4
    assert eraser.erase("acme", TABLE, everybody) == 0
    eraser.drop_history("acme", TABLE)
    assert lake.row_count("acme", TABLE) == 0
    lake.append("acme", TABLE, rows(("5", "c5", 4)))
    assert ids(lake) == {"5"}


def test_a_row_has_to_fit_every_column_of_a_condition(lake: Lake):
    eraser = lake.eraser()
    assert eraser.count("acme", TABLE, RowsToErase()) == 0
    assert eraser.count("acme", TABLE, RowsToErase(conditions=[{}])) == 0
    both = RowsToErase(conditions=[{"customer_id": {"c1"}, "id": {"3", "4"}}])
    assert eraser.count("acme", TABLE, both) == 1
    assert eraser.count("acme", TABLE, RowsToErase(conditions=[{"unknown": {"c1"}}])) == 0
    assert eraser.count("acme", TABLE, RowsToErase(texts={"customer_id": ["1"], "no": ["1"]})) == 2


def test_what_killed_processes_left_is_removed_and_what_living_ones_need_is_not(tmp_path: Path):
    lake = Lake(str(tmp_path), clock=clock)
    lake.append("acme", TABLE, rows(("1", "c1", 1)))
    (tmp_path / "acme" / TABLE / "0123.unfinished").write_bytes(b"half")
    dead = tmp_path / ".spill-dead"
    dead.mkdir()
    (dead / "result-1.arrows").write_bytes(b"rows")
    with lake.session() as session:
        session.attach("living", "acme", TABLE)
        living = {each for each in os.listdir(tmp_path) if each.startswith(".spill-")}
        assert lake.eraser().remove_dead_spills() == 1
        left = {each for each in os.listdir(tmp_path) if each.startswith(".spill-")}
        assert left == living - {".spill-dead"}
    assert lake.eraser().drop_history("acme", TABLE) == 1
    assert lake.eraser().remove_dead_spills() == 0
