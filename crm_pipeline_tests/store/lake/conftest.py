"""A lake of its own for every test, and rows to put into it."""

import datetime as dt

import pyarrow as pa
import pytest

from crm_pipeline.store.lake import Lake

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
