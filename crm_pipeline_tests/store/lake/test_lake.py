"""What goes into the lake comes out of it, in the right version."""

import contextlib
import datetime as dt
import os
import stat

import pyarrow as pa
import pytest

from crm_pipeline.store.lake import Lake, LakeBusyError, LakeUnavailableError
from crm_pipeline.store.lake.failures import TableUnknownError
from crm_pipeline.store.lake.parquet import GROUP_ROWS
from crm_pipeline.store.lake.tables import CHECKPOINT_EVERY
from crm_pipeline_tests.store.lake.conftest import NOW, SCHEMA, rows

ORG, TABLE = "acme", "landed/loke/customers"


def names(reader):
    return {row["id"]: row["name"] for row in reader.read_all().to_pylist()}


def test_rows_come_back_with_their_types(lake):
    assert lake.append(ORG, TABLE, rows(1, ("a", "Zoë", 0), ("b", None, None))) == 2
    table = lake.scan(ORG, TABLE).read_all()
    assert table.schema.names == SCHEMA.names
    assert table.schema.field("version_at").type == pa.timestamp("us", tz="UTC")
    assert sorted(table.column("id").to_pylist()) == ["a", "b"]


def test_a_table_that_nobody_wrote_does_not_exist_and_cannot_be_read(lake):
    assert not lake.exists(ORG, TABLE)
    assert lake.row_count(ORG, TABLE) == 0
    assert lake.size_bytes(ORG, TABLE) == 0
    assert lake.newest_batch(ORG, TABLE) == 0
    with pytest.raises(TableUnknownError):
        lake.scan(ORG, TABLE)


def test_no_rows_make_no_commit(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    version = lake.version(ORG, TABLE)
    assert lake.append(ORG, TABLE, rows(2)) == 0
    assert lake.version(ORG, TABLE) == version


def test_replace_leaves_only_the_new_rows(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    lake.replace(ORG, TABLE, rows(2, ("b", "B", 0)))
    assert names(lake.scan(ORG, TABLE)) == {"b": "B"}
    assert lake.replace(ORG, TABLE, rows(3)) == 0
    assert names(lake.scan(ORG, TABLE)) == {}


def test_the_same_content_may_replace_itself(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    lake.replace(ORG, TABLE, rows(1, ("a", "A", 0)))
    assert names(lake.scan(ORG, TABLE)) == {"a": "A"}


def test_organisations_never_see_each_other(lake):
    lake.append("acme", TABLE, rows(1, ("a", "A", 0)))
    lake.append("bloom", TABLE, rows(1, ("b", "B", 0)))
    assert names(lake.scan("acme", TABLE)) == {"a": "A"}


def test_only_files_with_newer_batches_are_read(lake):
    for batch in (1, 2, 3):
        lake.append(ORG, TABLE, rows(batch, (f"id{batch}", "x", 0)))
    assert len(lake.files(ORG, TABLE)) == 3
    assert len(lake.files(ORG, TABLE, since_batch=2)) == 1
    assert set(names(lake.scan(ORG, TABLE, since_batch=1))) == {"id2", "id3"}
    assert lake.row_count(ORG, TABLE, since_batch=1) == 2
    assert lake.newest_batch(ORG, TABLE) == 3


def test_batches_that_share_a_file_are_still_told_apart(lake):
    for batch in (1, 2, 3):
        lake.append(ORG, TABLE, rows(batch, (f"id{batch}", "x", 0)))
    assert lake.compact(ORG, TABLE, "id", keep="all") == 3
    assert len(lake.files(ORG, TABLE)) == 1
    assert set(names(lake.scan(ORG, TABLE, since_batch=1))) == {"id2", "id3"}
    assert lake.row_count(ORG, TABLE, since_batch=1) == 2


def test_a_scan_takes_columns_a_condition_and_values(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "O'Hara", 0), ("b", "B", 0)))
    reader = lake.scan(ORG, TABLE, columns=("id",), where="name = ?", parameters=["O'Hara"])
    assert reader.read_all().to_pydict() == {"id": ["a"]}


def test_the_newest_version_wins_whatever_the_order_of_arrival(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "new", 5), ("b", "only", 0)))
    lake.append(ORG, TABLE, rows(2, ("a", "old", 1)))
    assert names(lake.current(ORG, TABLE, "id")) == {"a": "new", "b": "only"}


def test_of_equal_versions_the_later_batch_wins(lake):
    lake.append(ORG, TABLE, rows(2, ("a", "later", 5)))
    lake.append(ORG, TABLE, rows(1, ("a", "earlier", 5)))
    assert names(lake.current(ORG, TABLE, "id")) == {"a": "later"}


def test_a_row_without_a_version_is_older_than_each_that_has_one_whenever_they_landed(lake):
    later = NOW + dt.timedelta(minutes=9)
    lake.append(ORG, TABLE, rows(1, ("a", "version", 5), ("b", "first", None)))
    lake.append(ORG, TABLE, rows(2, ("a", "none", None), ("b", "last", None), landed_at=later))
    assert names(lake.current(ORG, TABLE, "id")) == {"a": "version", "b": "last"}


def test_compacting_folds_old_versions_and_loses_no_key(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "old", 1), ("b", "B", 0)))
    lake.append(ORG, TABLE, rows(2, ("a", "new", 2)))
    assert lake.compact(ORG, TABLE, "id") == 2
    assert names(lake.scan(ORG, TABLE)) == {"a": "new", "b": "B"}
    assert lake.vacuum(ORG, TABLE, retention_hours=0) == 2
    assert names(lake.scan(ORG, TABLE)) == {"a": "new", "b": "B"}


def test_rows_that_come_in_while_a_table_is_compacted_stay(lake, monkeypatch):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    read = lake.current

    def read_while_another_appends(*arguments):
        reader = read(*arguments)
        lake.append(ORG, TABLE, rows(2, ("b", "B", 0)))
        return reader

    monkeypatch.setattr(lake, "current", read_while_another_appends)
    with contextlib.suppress(LakeBusyError):
        lake.compact(ORG, TABLE, "id")
    assert names(lake.scan(ORG, TABLE)) == {"a": "A", "b": "B"}


def test_a_new_column_is_null_in_old_rows(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    wider = SCHEMA.append(pa.field("shop", pa.string()))
    row = {"id": "b", "name": "B", "landed_at": NOW, "batch": 2, "shop": "S"}
    lake.append(ORG, TABLE, pa.Table.from_pylist([row], schema=wider).to_reader())
    found = {row["id"]: row["shop"] for row in lake.scan(ORG, TABLE).read_all().to_pylist()}
    assert found == {"a": None, "b": "S"}


def test_a_table_without_batches_can_be_stored_and_compacted(lake):
    schema = pa.schema([("key", pa.string()), ("note", pa.list_(pa.string()))])
    table = pa.Table.from_pylist([{"key": "k", "note": ["a", "b"]}], schema=schema)
    lake.append(ORG, "plan/crm_com", table.to_reader())
    assert len(lake.files(ORG, "plan/crm_com", since_batch=7)) == 1
    assert lake.scan(ORG, "plan/crm_com").read_all().to_pylist() == table.to_pylist()


def test_many_rows_are_written_in_groups_of_bounded_size(lake):
    count = GROUP_ROWS + 5
    ids = pa.array([str(number) for number in range(count)])
    table = pa.table({"id": ids, "batch": pa.repeat(1, count)})
    assert lake.append(ORG, "big", table.to_reader(max_chunksize=1000)) == count
    assert lake.row_count(ORG, "big") == count
    assert pa.parquet.ParquetFile(lake.files(ORG, "big")[0]).num_row_groups == 2


def test_files_are_private_whatever_the_umask(lake, tmp_path):
    before = os.umask(0)
    try:
        for batch in range(1, 25):  # beyond the first checkpoint
            lake.append(ORG, TABLE, rows(batch, ("a", "A", 0)))
        with lake.session() as session:
            session.execute("CREATE TEMP TABLE x AS SELECT 1")
    finally:
        os.umask(before)
    found = list((tmp_path / "lake").rglob("*"))
    assert any("checkpoint" in path.name for path in found)
    assert [str(path) for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert stat.S_IMODE((tmp_path / "lake").stat().st_mode) == 0o700


def test_a_storage_that_takes_nothing_is_an_error_to_try_again_and_leaves_nothing(
    lake, tmp_path, monkeypatch
):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    before = sorted((tmp_path / "lake").rglob("*"))

    def refuse(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(LakeUnavailableError, match="landed/loke/customers"):
            lake.append(ORG, TABLE, rows(2, ("b", "B", 0)))
    assert sorted((tmp_path / "lake").rglob("*")) == before
    assert names(lake.scan(ORG, TABLE)) == {"a": "A"}


def test_a_full_disk_under_a_new_table_is_an_error_to_try_again(lake, monkeypatch):
    def refuse(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(LakeUnavailableError, match="landed/loke/customers"):
            lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    assert lake.append(ORG, TABLE, rows(1, ("a", "A", 0))) == 1
    assert names(lake.scan(ORG, TABLE)) == {"a": "A"}


def test_a_full_disk_under_the_log_is_an_error_to_try_again(lake, tmp_path, monkeypatch):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    log = (tmp_path / "lake" / ORG / TABLE / "_delta_log").stat()
    fsync = os.fsync

    def refuse(descriptor):
        if os.path.samestat(os.fstat(descriptor), log):
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(LakeUnavailableError, match="landed/loke/customers"):
            lake.append(ORG, TABLE, rows(2, ("b", "B", 0)))
    lake.append(ORG, TABLE, rows(3, ("b", "B", 0)))
    assert names(lake.current(ORG, TABLE, "id")) == {"a": "A", "b": "B"}


def test_vacuum_removes_what_killed_processes_left(lake, tmp_path):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    left = tmp_path / "lake" / ".spill-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    lake.vacuum(ORG, TABLE)
    assert not left.exists()


def test_a_lake_behind_a_url_works_alike(remote_lake):
    lake = remote_lake
    lake.append(ORG, TABLE, rows(1, ("a", "old", 1), ("b", "B", 0)))
    lake.append(ORG, TABLE, rows(2, ("a", "new", 2)))
    assert names(lake.current(ORG, TABLE, "id")) == {"a": "new", "b": "B"}
    assert names(lake.scan(ORG, TABLE, since_batch=1)) == {"a": "new"}
    assert lake.files(ORG, TABLE)[0].startswith("file://")
    assert lake.compact(ORG, TABLE, "id") == 2
    lake.vacuum(ORG, TABLE, retention_hours=0)
    assert names(lake.scan(ORG, TABLE)) == {"a": "new", "b": "B"}


def test_a_file_url_is_a_local_folder(tmp_path):
    lake = Lake(f"file://{tmp_path}/here", clock=lambda: NOW)
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    assert (tmp_path / "here" / ORG).is_dir()


def test_a_log_is_short_whatever_writes_into_it_and_old_entries_go(lake, tmp_path):
    log = tmp_path / "lake" / ORG / TABLE / "_delta_log"
    for batch in range(1, 30):
        lake.replace(ORG, TABLE, rows(batch, ("a", f"name {batch}", batch)))
        lake.vacuum(ORG, TABLE, retention_hours=0)
    newest = lake.version(ORG, TABLE)
    checkpoints = sorted(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    assert newest - checkpoints[-1] <= CHECKPOINT_EVERY + 2
    lake.vacuum(ORG, TABLE, retention_hours=0)
    assert lake.version(ORG, TABLE) == newest
    long_ago = (NOW - dt.timedelta(days=400)).timestamp()
    for path in log.iterdir():
        os.utime(path, (long_ago, long_ago))
    lake.vacuum(ORG, TABLE)
    assert len(list(log.iterdir())) < 30
    lake.append(ORG, TABLE, rows(30, ("b", "B", 0)))
    assert names(Lake(str(tmp_path / "lake"), clock=lambda: NOW).scan(ORG, TABLE)) == {
        "a": "name 29",
        "b": "B",
    }
