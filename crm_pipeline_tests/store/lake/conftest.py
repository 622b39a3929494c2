"""A lake of its own for every test, and rows to put into it."""

import datetime as dt

import pyarrow as pa
import pytest

from crm_pipeline.store.lake import Lake
from crm_pipeline.store.lake.places import RemotePlace

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("version_at", pa.timestamp("us", tz="UTC")),
        ("landed_at", pa.timestamp("us", tz="UTC")),
        ("batch", pa.int64()),
    ]
)


def rows(batch, *people, landed_at=NOW):
    """A reader of (id, name, minutes of version or None) under one batch number."""
    values = [
        {
            "id": source_id,
            "name": name,
            "version_at": None if minutes is None else NOW + dt.timedelta(minutes=minutes),
            "landed_at": landed_at,
            "batch": batch,
        }
        for source_id, name, minutes in people
    ]
    return pa.Table.from_pylist(values, schema=SCHEMA).to_reader()


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"), clock=lambda: NOW)


@pytest.fixture
def remote_lake(tmp_path, monkeypatch):
    """A lake as it is behind a URL. Its bytes are in the folder ``remote``."""
    (tmp_path / "remote").mkdir()
    place = RemotePlace(f"file://{tmp_path}/remote", {"allow_unsafe_rename": "true"})
    monkeypatch.setattr("crm_pipeline.store.lake.lake.place_for", lambda *_: place)
    return Lake("s3://any", clock=lambda: NOW)
