"""A damaged lake says so; it never reads as fewer or other rows (FAULTS.md S02)."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.errors import DataError
from crm_pipeline.store.lake import Lake, LakeDamagedError
from crm_pipeline_tests.store.lake.conftest import NOW, rows

ORG, TABLE = "acme", "landed/loke/customers"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A lake of two commits, and the bytes of its first data file."""
    root = tmp_path_factory.mktemp("damage") / "lake"
    lake = Lake(str(root), clock=lambda: NOW)
    lake.append(ORG, TABLE, rows(1, *((f"id{n}", f"Name {n}", n) for n in range(50))))
    lake.append(ORG, TABLE, rows(2, ("z", "Z", 0)))
    path = Path(lake.files(ORG, TABLE)[0])
    return root, path, path.read_bytes()


def read_anew(root):
    """Read as a process does that has seen none of the files."""
    return Lake(str(root), clock=lambda: NOW).scan(ORG, TABLE).read_all()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_data_file_cut_or_flipped_anywhere_is_refused(written, data):
    root, path, content = written
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        damage = content[:place]
    else:
        bit = 1 << data.draw(st.integers(0, 7))
        damage = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
    path.write_bytes(damage)
    try:
        with pytest.raises(LakeDamagedError, match=f"{ORG}/{TABLE} is damaged"):
            read_anew(root)
    finally:
        path.write_bytes(content)


def test_a_missing_file_is_refused_with_the_way_out(written):
    root, path, content = written
    path.unlink()
    with pytest.raises(DataError, match="missing") as caught:
        read_anew(root)
    assert "crm-pipeline sync --full" in caught.value.remedy
    path.write_bytes(content)
    assert read_anew(root).num_rows == 51


def test_damage_is_seen_by_the_process_that_has_read_the_file_before(written):
    root, path, content = written
    lake = Lake(str(root), clock=lambda: NOW)
    assert lake.scan(ORG, TABLE).read_all().num_rows == 51
    os.utime(path, (1, 1))
    assert lake.scan(ORG, TABLE).read_all().num_rows == 51
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(LakeDamagedError):
        lake.scan(ORG, TABLE)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [b"", b'{"add":{"path":', b'{"aed":{}}\n', b"[]\n", b"\xff\n"])
def test_a_log_entry_that_is_cut_or_altered_is_refused(written, damage):
    root, _, _ = written
    entry = sorted((root / ORG / TABLE / "_delta_log").glob("*.json"))[-1]
    content = entry.read_bytes()
    entry.write_bytes(damage)
    try:
        with pytest.raises(LakeDamagedError):
            read_anew(root)
    finally:
        entry.write_bytes(content)


def test_a_missing_log_entry_is_refused(written):
    root, _, _ = written
    entry = sorted((root / ORG / TABLE / "_delta_log").glob("*.json"))[1]
    content = entry.read_bytes()
    entry.unlink()
    with pytest.raises(LakeDamagedError, match="log"):
        read_anew(root)
    entry.write_bytes(content)


def test_a_flipped_value_in_object_storage_is_refused_by_its_page_checksum(remote_lake, tmp_path):
    remote_lake.append(ORG, TABLE, rows(1, *((f"id{n}", f"Name {n}", n) for n in range(50))))
    path = next((tmp_path / "remote" / ORG / TABLE).glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[60] ^= 4
    path.write_bytes(content)
    with pytest.raises(LakeDamagedError):
        remote_lake.scan(ORG, TABLE).read_all()
