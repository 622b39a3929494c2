"""A ledger file that is damaged, foreign or out of reach: an error, never an empty ledger."""

import errno
import os
import random
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
import sqlalchemy as sa

from crm_pipeline.errors import ConfigurationError, LedgerDamagedError, TryLaterError
from crm_pipeline.store.ledger import engine, files
from crm_pipeline_tests.store.ledger.conftest import sqlite_url
from crm_pipeline_tests.store.ledger.samples import ACME, CRM, CUSTOMERS, OF_CONTACTS, receipt

PAGE_BYTES = 4_096


@pytest.fixture
def filled(file_url, clock, opened):
    """The path of a closed ledger with some hundred objects."""
    ledger = opened(file_url, clock)
    with ledger.leases.hold("apply", "owner", 60) as lease:
        ledger.outbox.settle(ACME, CRM, [receipt(f"loke:{n:04}") for n in range(400)], lease)
    ledger.close()
    return Path(sa.make_url(file_url).database)


def look(ledger):
    """Everything that a process does at its start, and a first read and write."""
    ledger.require_current()
    ledger.watermarks.get(*CUSTOMERS)
    ledger.watermarks.next_batch(ACME)


def assert_refused(ledger, path, error=LedgerDamagedError):
    before = path.read_bytes() if path.is_file() else None
    for attempt in (ledger.require_current, ledger.migrate, ledger.check, lambda: look(ledger)):
        with pytest.raises(error) as caught:
            attempt()
        assert caught.value.remedy
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize(
    "content", [b"", b"S", b"SQLite format 3\0", os.urandom(PAGE_BYTES), b"\0" * PAGE_BYTES]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path, opened, clock, content):
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(content)
    assert_refused(opened(sqlite_url(path), clock), path)


@pytest.mark.parametrize("statement", ["CREATE TABLE runs (id int)", "PRAGMA user_version=1"])
def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path, opened, clock, statement):
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    assert_refused(opened(sqlite_url(path), clock), path)


def test_a_file_that_is_cut_short_is_refused(filled, opened, clock):
    size = filled.stat().st_size
    for share in (0.02, 0.3, 0.7, 0.99):
        os.truncate(filled, int(size * share))
        assert_refused(opened(sqlite_url(filled), clock), filled)


def test_no_damaged_page_goes_unnoticed_by_the_check(filled, opened, clock):
    whole = filled.read_bytes()
    dice = random.Random(7)
    pages = list(range(len(whole) // PAGE_BYTES))
    for page in dice.sample(pages[1:], 12):
        start = page * PAGE_BYTES
        broken = whole[:start] + dice.randbytes(64) + whole[start + 64 :]
        filled.write_bytes(broken)
        ledger = opened(sqlite_url(filled), clock)
        with pytest.raises(LedgerDamagedError):
            ledger.check()
        ledger.close()


def test_a_damaged_page_is_an_error_when_it_is_read(filled, opened, clock):
    whole = bytearray(filled.read_bytes())
    whole[PAGE_BYTES:] = b"\xff" * (len(whole) - PAGE_BYTES)
    filled.write_bytes(whole)
    ledger = opened(sqlite_url(filled), clock)
    with pytest.raises(LedgerDamagedError, match="SQLITE_CORRUPT"):
        ledger.applied.get_many(*OF_CONTACTS, ["loke:0001"])
    with pytest.raises(LedgerDamagedError):
        list(ledger.applied.stream(*OF_CONTACTS))


def test_a_folder_or_a_link_is_refused(tmp_path, opened, clock, filled):
    folder = tmp_path / "folder"
    folder.mkdir()
    link = tmp_path / "link.sqlite3"
    link.symlink_to(filled)
    dangling = tmp_path / "dangling.sqlite3"
    dangling.symlink_to(tmp_path / "nothing")
    for path in (folder, link, dangling):
        assert_refused(opened(sqlite_url(path), clock), path)
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_cannot_be_made_is_a_matter_of_configuration(tmp_path, opened, clock):
    (tmp_path / "file").write_text("")
    ledger = opened(sqlite_url(tmp_path / "file" / "ledger.sqlite3"), clock)
    for attempt in (ledger.migrate, ledger.require_current):
        with pytest.raises(ConfigurationError, match=r"ExistsError|NotADirectoryError"):
            attempt()


def test_a_draft_that_a_killed_process_left_is_made_anew(tmp_path, opened, clock):
    (tmp_path / ".ledger.sqlite3.new").write_bytes(b"half")
    opened(sqlite_url(tmp_path / "ledger.sqlite3"), clock).migrate()
    assert not (tmp_path / ".ledger.sqlite3.new").exists()


def test_a_disk_that_is_full_when_the_ledger_is_made_leaves_no_ledger(
    tmp_path, opened, clock, monkeypatch
):
    path = tmp_path / "ledger.sqlite3"
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorname = "SQLITE_FULL"
    for error in (full, OSError(errno.ENOSPC, "No space left"), OSError(errno.EMFILE, "")):
        monkeypatch.setattr(files, "_make_draft", Mock(side_effect=error))
        with pytest.raises(TryLaterError):
            opened(sqlite_url(path), clock).migrate()
        assert not path.exists()


def test_after_a_disk_failure_the_file_is_opened_anew_and_nothing_half_done_is_there(
    filled, opened, clock
):
    ledger = opened(sqlite_url(filled), clock)
    first = ledger.watermarks.next_batch(ACME)
    connections = ledger._database._writer.pool.checkedin()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ledger.leases.hold("apply", "owner", 60) as lease:
        resource.setrlimit(resource.RLIMIT_FSIZE, (filled.stat().st_size, hard))
        try:
            with pytest.raises(TryLaterError, match=r"SQLITE_(IOERR|FULL)"):
                ledger.outbox.settle(
                    ACME, CRM, [receipt(f"new:{n}", name="x" * 900) for n in range(999)], lease
                )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (connections, ledger._database._writer.pool.checkedin()) == (1, 0)
        assert ledger.applied.count(*OF_CONTACTS) == 400
        ledger.outbox.settle(ACME, CRM, [receipt("new:1")], lease)
    assert ledger.applied.count(*OF_CONTACTS) == 401
    assert ledger.watermarks.next_batch(ACME) == first + 1
    ledger.check()


def test_a_writer_that_waits_too_long_for_another_is_told_to_try_later(
    filled, opened, clock, monkeypatch
):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.02)
    ledger = opened(sqlite_url(filled), clock)
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TryLaterError, match="SQLITE_BUSY"):
            ledger.watermarks.next_batch(ACME)
        assert ledger.applied.count(*OF_CONTACTS) == 400  # readers do not wait
    assert ledger.watermarks.next_batch(ACME) == 1


def test_committed_rows_survive_the_death_of_the_process_without_a_close(filled, opened, clock):
    ledger = opened(sqlite_url(filled), clock)
    ledger.watermarks.next_batch(ACME)
    copy = filled.with_name("copy.sqlite3")
    for ending in ("", "-wal"):  # what a killed process leaves on the disk
        Path(f"{copy}{ending}").write_bytes(Path(f"{filled}{ending}").read_bytes())
    assert opened(sqlite_url(copy), clock).watermarks.next_batch(ACME) == 2
