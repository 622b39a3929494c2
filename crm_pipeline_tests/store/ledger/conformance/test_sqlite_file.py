"""The SQLite file: private, durable, and never taken for something that it is not."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_pipeline.errors import ConfigurationError, LedgerDamagedError
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.store.ledger.migrating import check
from crm_pipeline_tests.store.ledger.conformance.workbench import ORG, SimulatedClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite3"


@pytest.fixture
def made(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{path}", clock=SimulatedClock())
    ledger.migrate()
    yield ledger
    ledger.close()


def modes(path: Path) -> dict[str, str]:
    return {one.name: oct(stat.S_IMODE(one.stat().st_mode)) for one in path.parent.iterdir()}


PRIVATE = {
    "ledger.sqlite3": "0o600",
    "ledger.sqlite3-wal": "0o600",
    "ledger.sqlite3-shm": "0o600",
}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_every_file_is_private_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ledger = Ledger(f"sqlite:///{path}", clock=SimulatedClock())
        path.parent.mkdir(mode=0o700)
        path.parent.chmod(0o700)
        ledger.migrate()
        ledger.watermarks.next_batch(ORG)
        assert modes(path) == PRIVATE
    finally:
        os.umask(before)
        ledger.close()


def test_files_that_somebody_opened_up_are_made_private_again(path: Path, made: Ledger) -> None:
    made.watermarks.next_batch(ORG)
    for name in PRIVATE:
        path.with_name(name).chmod(0o644)
    path.chmod(0o600)
    again = Ledger(f"sqlite:///{path}", clock=SimulatedClock())
    again.require_current()
    assert modes(path) == PRIVATE
    again.close()


def test_a_commit_is_on_the_disk_and_readers_cannot_write(made: Ledger) -> None:
    with made._database.write() as connection:
        asked = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert asked == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}
    with made._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar_one() == 1


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("empty", "its file is empty"),
        ("text", "not a SQLite database|NOTADB"),
        ("short", "damaged|no version"),
        ("folder", "not a plain file"),
        ("link", "not a plain file"),
        ("foreign", "another program's"),
    ],
)
def test_something_else_in_its_place_is_named_and_left_alone(
    path: Path, made: Ledger, what: str, words: str
) -> None:
    made.close()
    whole = path.read_bytes()
    path.unlink()
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    if what == "folder":
        path.mkdir()
    elif what == "link":
        path.with_name("real").write_bytes(whole)
        path.symlink_to("real")
    elif what == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (id INTEGER)")
        connection.close()
    else:
        path.write_bytes({"empty": b"", "text": b"hello\n" * 99, "short": whole[:5000]}[what])
    before = None if path.is_dir() else path.read_bytes()
    for use in (made.migrate, made.require_current, lambda: made.watermarks.next_batch(ORG)):
        with pytest.raises(LedgerDamagedError, match=words):
            use()
    assert path.is_dir() or path.read_bytes() == before


def test_pages_that_were_overwritten_are_found_by_reading_and_by_the_check(
    path: Path, made: Ledger
) -> None:
    for number in range(120):
        made.organisations.record_failure(f"org-{number}", "code", "x" * 200)
    made.close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    for use in (lambda: check(made._database), lambda: made.organisations.status(ORG)):
        with pytest.raises(LedgerDamagedError, match="Restore it from a backup"):
            use()


def test_an_index_that_contradicts_its_table_is_found_by_the_check(
    path: Path, made: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(made._database)
    made.close()
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA writable_schema=ON")
    raw.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name = 'consents_person'")
    raw.close()
    with pytest.raises(LedgerDamagedError):
        check(made._database)


def test_a_place_that_is_not_ours_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.sqlite3'}", clock=SimulatedClock())
    for use in (ledger.migrate, ledger.require_current):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            use()


def test_the_draft_of_a_killed_first_migration_is_in_nobodys_way(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(f".{path.name}.new").write_bytes(b"half")
    ledger = Ledger(f"sqlite:///{path}", clock=SimulatedClock())
    ledger.migrate()
    ledger.require_current()
    assert [one.name for one in path.parent.iterdir() if one.name.startswith(".")] == []
    ledger.close()


def test_sql_that_has_no_table_says_what_to_run(made: Ledger) -> None:
    with made._database.write() as connection:
        connection.execute(sa.text("DROP TABLE leases"))
    with pytest.raises(ConfigurationError, match="ledger migrate"):
        made.leases._take("n", "o", 1)
