"""What landing adds to a row is the same whoever works it out."""

import datetime as dt

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.sources.loke.customers import CUSTOMERS
from crm_pipeline.store.lake import Lake
from crm_pipeline.sync.land.stamping import keep_newest, stamp

SCHEMA = CUSTOMERS.schema
NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
_texts = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=6))
_wholes = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
_values = {
    pa.string(): _texts,
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.int64(): _wholes,
}
_rows = st.lists(
    st.fixed_dictionaries(
        {field.name: _values[field.type] for field in SCHEMA if field.nullable}
        | {"id": st.text("abc", min_size=1, max_size=2)}
    ),
    min_size=1,
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_rows)
def test_a_fingerprint_is_the_same_one_by_one_and_as_a_set(rows, tmp_path_factory):
    page = (pa.RecordBatch.from_pylist(rows, schema=SCHEMA), "digest")
    lake = Lake(str(tmp_path_factory.getbasetemp() / "lake"), clock=lambda: NOW)
    alone = stamped_page(page)
    with lake.session() as session:
        together = stamped_page(page, session=session)
    assert alone.rows.combine_chunks() == together.rows.combine_chunks()


def stamped(*people):
    rows = [
        {"id": row_id, "updated_at": updated_at, "first_name": name}
        for row_id, updated_at, name in people
    ]
    return stamped_page((pa.RecordBatch.from_pylist(rows, schema=SCHEMA), "digest"))


def stamped_page(page, *, version_column="updated_at", session=None):
    return stamp(
        [page], version_column=version_column, origin="pull", landed_at=NOW, session=session
    )


def names(found):
    return found.rows.column("first_name").to_pylist()


def test_of_one_id_the_newest_version_stays():
    found = stamped(
        ("a", "2026-11-21T11:00:00Z", "new"), ("a", "2026-11-21T10:00:00Z", "old"), ("b", None, "b")
    )
    assert names(keep_newest(found)) == ["new", "b"]


def test_of_equal_versions_the_one_read_last_stays():
    found = stamped(
        ("a", "2026-11-21T11:00:00Z", "first"), ("a", "2026-11-21T11:00:00.000Z", "last")
    )
    assert names(keep_newest(found)) == ["last"]


def test_a_version_in_the_future_counts_as_landed_now():
    found = stamped(("a", "2999-01-01T00:00:00Z", "a"), ("b", "2026-11-21T12:59:00Z", "b"))
    versions = found.rows.column("version_at").to_pylist()
    assert versions == [NOW, NOW + dt.timedelta(minutes=59)]
    assert found.in_future == 1


def test_the_version_is_the_time_in_the_column_that_the_dataset_names():
    schema = pa.schema([("id", pa.string()), ("updated_at", pa.string()), ("at", pa.string())])
    rows = [
        {"id": "a", "updated_at": "2026-11-21T11:00:00Z", "at": "2026-11-21T09:00:00Z"},
        {"id": "b", "updated_at": "2026-11-21T11:00:00Z", "at": None},
    ]
    page = (pa.RecordBatch.from_pylist(rows, schema=schema), "digest")
    found = stamped_page(page, version_column="at").rows
    assert found.column("version_at").to_pylist() == [NOW - dt.timedelta(hours=3), None]
    assert found.column("landed_at").to_pylist() == [NOW, NOW]
