"""What a table is, is known until somebody changes it, whoever that is."""

import os

import pytest

from crm_pipeline.store.lake import Lake, LakeDamagedError, snapshots
from crm_pipeline.store.lake.failures import TableUnknownError
from crm_pipeline.store.lake.places import LocalPlace
from crm_pipeline.store.lake.snapshots import Snapshots
from crm_pipeline.store.lake.tables import CHECKPOINT_EVERY
from crm_pipeline_tests.store.lake.conftest import NOW, rows

ORG, TABLE = "acme", "landed/loke/customers"


@pytest.fixture
def known(tmp_path):
    return Snapshots(LocalPlace(str(tmp_path / "lake")))


def test_a_table_that_nobody_changed_is_read_once(lake, known):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    snapshot = known.get(ORG, TABLE)
    assert known.get(ORG, TABLE) is snapshot
    assert known.find(ORG, TABLE) is snapshot


@pytest.mark.parametrize("commits", [1, CHECKPOINT_EVERY - 1, CHECKPOINT_EVERY, 50])
def test_what_another_process_wrote_is_seen_at_once(lake, known, commits):
    for batch in range(1, commits + 1):
        lake.append(ORG, TABLE, rows(batch, ("a", "A", batch)))
        found = known.get(ORG, TABLE)
        assert (found.version, len(found.files)) == (batch, batch)
        assert known.get(ORG, TABLE) is found


def test_files_that_an_erasure_put_in_place_of_others_are_seen_at_once(lake, tmp_path):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0), ("b", "B", 0)))
    lake.files(ORG, TABLE)
    other = Lake(str(tmp_path / "lake"), clock=lambda: NOW)
    other.compact(ORG, TABLE, "id")
    other.eraser().drop_history(ORG, TABLE)
    assert lake.files(ORG, TABLE) == other.files(ORG, TABLE)
    assert lake.row_count(ORG, TABLE) == 2


def test_a_table_comes_into_being_while_we_look(lake, known):
    assert known.find(ORG, TABLE) is None
    with pytest.raises(TableUnknownError):
        known.get(ORG, TABLE)
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    assert known.find(ORG, TABLE) is not None


def test_a_log_that_is_damaged_after_it_was_read_is_damage(lake, known, tmp_path):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    known.get(ORG, TABLE)
    entry = sorted((tmp_path / "lake" / ORG / TABLE / "_delta_log").glob("*.json"))[-1]
    os.truncate(entry, entry.stat().st_size // 2)
    with pytest.raises(LakeDamagedError):
        known.get(ORG, TABLE)


def test_few_tables_are_kept_in_memory_and_those_longest_not_asked_for_go(lake, known, monkeypatch):
    monkeypatch.setattr(snapshots, "_KEPT", 2)
    for table in "abc":
        lake.append(ORG, table, rows(1, ("a", "A", 0)))
    first = known.get(ORG, "a")
    second = known.get(ORG, "b")
    assert known.get(ORG, "a") is first
    known.get(ORG, "c")
    assert known.get(ORG, "a") is first
    assert known.get(ORG, "b") is not second
