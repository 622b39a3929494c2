"""DuckDB instances go from session to session, and nothing else goes with them."""

import os
import signal
import subprocess
import sys

import pyarrow as pa
import pytest

from crm_pipeline.store.lake.engines import _WAITING, Engines

MANY_ROWS = "SELECT range AS n, hash(range) AS h, range::VARCHAR || 'abcdefgh' AS t FROM range({})"


@pytest.fixture
def engines():
    return Engines("64MB")


def test_an_instance_that_is_given_back_is_taken_again_with_another_folder(engines, tmp_path):
    engine = engines.take(tmp_path / "first")
    engines.give_back(engine, tmp_path / "first")
    again = engines.take(tmp_path / "it's the second")
    assert again is engine
    folder = again.execute("SELECT current_setting('temp_directory')").fetchall()
    assert folder == [(str(tmp_path / "it's the second"),)]


def test_nobody_gets_an_instance_that_somebody_has(engines, tmp_path):
    assert engines.take(tmp_path / "one") is not engines.take(tmp_path / "other")


def test_an_instance_that_has_used_its_folder_ends(engines, tmp_path):
    engine = engines.take(tmp_path / "spill")
    cursor = engine.cursor()
    cursor.execute(f"CREATE TEMP TABLE large AS {MANY_ROWS.format(3_000_000)}")
    assert (tmp_path / "spill").exists()
    cursor.close()
    engines.give_back(engine, tmp_path / "spill")
    other = engines.take(tmp_path / "other")
    assert other is not engine
    assert other.execute("SELECT 1").fetchall() == [(1,)]


def test_an_instance_that_has_ended_is_not_given_to_anybody(engines, tmp_path):
    engine = engines.take(tmp_path / "first")
    engine.close()
    engines.give_back(engine, tmp_path / "first")
    assert engines.take(tmp_path / "second").execute("SELECT 1").fetchall() == [(1,)]


def test_few_instances_wait(engines, tmp_path):
    taken = [engines.take(tmp_path / f"{number}") for number in range(_WAITING + 2)]
    for number, engine in enumerate(taken):
        engines.give_back(engine, tmp_path / f"{number}")
    again = [engines.take(tmp_path / f"again-{number}") for number in range(_WAITING + 2)]
    assert sum(any(each is old for old in taken) for each in again) == _WAITING


def test_a_session_sees_nothing_of_the_one_before(lake):
    with lake.session() as session:
        session.execute("CREATE TEMP TABLE ours AS SELECT 1 AS n")
        session.register("people", pa.table({"name": ["Ada"]}))
        session.execute("SET TimeZone = 'Australia/Sydney'")
    with lake.session() as session:
        assert session.value("SELECT count(*) FROM duckdb_tables()") == 0
        assert session.value("SELECT count(*) FROM duckdb_views() WHERE NOT internal") == 0
        assert session.value("SELECT current_setting('TimeZone')") == "UTC"


def test_sessions_at_the_same_time_are_apart(lake):
    with lake.session() as first, lake.session() as second:
        first.execute("CREATE TEMP TABLE ours AS SELECT 1 AS n")
        assert second.value("SELECT count(*) FROM duckdb_tables()") == 0


_FORKING = """
import datetime as dt, gc, os, sys
from crm_pipeline.store.lake import Lake
lake = Lake(sys.argv[1], clock=lambda: dt.datetime.now(dt.UTC))
with lake.session() as session:
    session.value("SELECT sum(range) FROM range(1000000)")
child = os.fork()
if not child:
    with lake.session() as session:
        seven = session.value("SELECT 7")
    del lake, session
    gc.collect()
    os._exit(seven)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_makes_its_own_instances_and_leaves_its_parent_s_alone(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", _FORKING, str(tmp_path)]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("the forked process hangs")
    assert code == 7
