"""Sets of rows, joined in one private DuckDB."""

import pyarrow as pa
import pytest

from crm_pipeline_tests.store.lake.conftest import SCHEMA, rows

ORG, TABLE = "acme", "landed/loke/customers"


def numbers(count):
    return pa.table({"n": pa.array(range(count), pa.int64())})


def test_tables_and_our_rows_are_joined(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0), ("b", "B", 0)))
    with lake.session() as session:
        session.attach("people", ORG, TABLE)
        session.register("wanted", pa.table({"id": ["b", "c"]}))
        found = session.sql("SELECT id, name FROM people JOIN wanted USING (id)").read_all()
        assert found.to_pylist() == [{"id": "b", "name": "B"}]
        session.unregister("wanted")


def test_a_result_can_be_read_on_after_other_statements(lake):
    with lake.session() as session:
        session.register("many", numbers(100_000))
        reader = session.sql("SELECT n FROM many ORDER BY n")
        first = reader.read_next_batch()
        session.execute("CREATE TEMP TABLE other AS SELECT 1 AS x")
        assert session.value("SELECT x FROM other WHERE x = ?", (1,)) == 1
        rest = list(reader)
        seen = pa.Table.from_batches([first, *rest]).column("n").to_pylist()
    assert seen == list(range(100_000))


def test_a_result_that_was_read_to_its_end_leaves_nothing_behind(lake, tmp_path):
    with lake.session() as session:
        session.register("many", numbers(10))
        assert session.sql("SELECT * FROM many").read_all().num_rows == 10
        assert session.value("SELECT 1") == 1
        assert session.value("SELECT 1 WHERE false") is None
        session.execute("SELECT ?", (1,))
    assert list((tmp_path / "lake").glob(".spill-*")) == []


def test_a_session_may_end_in_the_middle_of_a_result(lake):
    with lake.session() as session:
        session.register("many", numbers(100_000))
        session.sql("SELECT n FROM many").read_next_batch()


def test_a_table_without_rows_has_its_columns(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    with lake.session() as session:
        session.attach("none", ORG, TABLE, since_batch=1)
        assert session.sql("SELECT * FROM none").read_all().schema.names == SCHEMA.names
        assert session.value("SELECT count(*) FROM none") == 0


def test_a_failed_statement_does_not_end_the_session(lake):
    with lake.session() as session:
        with pytest.raises(Exception, match="nowhere"):
            session.sql("SELECT * FROM nowhere")
        assert session.value("SELECT 2") == 2


def test_a_table_is_attached_in_its_newest_versions(lake):
    lake.append(ORG, TABLE, rows(1, ("a", "old", 1), ("b", "B", 0)))
    lake.append(ORG, TABLE, rows(2, ("a", "new", 2)))
    with lake.session() as session:
        session.attach_current("newest", ORG, TABLE, "id")
        found = session.sql("SELECT id, name FROM newest ORDER BY id").read_all().to_pylist()
    assert found == [{"id": "a", "name": "new"}, {"id": "b", "name": "B"}]


def test_tables_without_landing_times_go_by_batch(lake):
    for batch, name in ((2, "later"), (1, "earlier")):
        table = pa.table({"key": ["k"], "name": [name], "batch": [batch]})
        lake.append(ORG, "desired/contacts", table.to_reader())
    assert lake.current(ORG, "desired/contacts", "key").read_all()["name"].to_pylist() == ["later"]


def test_nothing_is_left_when_a_read_fails_at_once(lake, tmp_path):
    lake.append(ORG, TABLE, rows(1, ("a", "A", 0)))
    with pytest.raises(Exception, match="nope"):
        lake.scan(ORG, TABLE, where="nope = 1")
    assert list((tmp_path / "lake").glob(".spill-*")) == []
