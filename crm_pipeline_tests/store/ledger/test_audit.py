"""The audit log: whatever is done to it afterwards is found, in both databases."""

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from crm_pipeline.core.audit import INSTALLATION, AuditHead, sealed
from crm_pipeline.errors import BugError
from crm_pipeline.store.ledger.migrating import revisions
from crm_pipeline.store.ledger.schema import VERSION_TABLE
from crm_pipeline_tests.store.ledger.samples import ACME

COLUMNS = "chain, seq, at, who, what, details, prev_hash, hash"


@pytest.fixture
def written(ledger, clock):
    """Six entries of one organisation, a second apart."""
    for number in range(6):
        clock.forward(1)
        ledger.audit.append(
            ACME, who="mina", what="plan_applied", details={"digest": f"d{number}", "applied": 3}
        )
    return ledger.audit


@pytest.fixture
def tamper(url):
    """Change the table behind the product's back, triggers and all."""
    engine = sa.create_engine(url)

    def run(*statements):
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                for name in ("audit_no_update", "audit_no_delete"):
                    connection.execute(sa.text(f"DROP TRIGGER IF EXISTS {name}"))
            else:
                connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                connection.exec_driver_sql(statement)

    yield run
    engine.dispose()


def test_a_chain_as_it_was_written_has_no_fault(written):
    assert written.verify(ACME) is None
    assert written.verify(INSTALLATION) is None
    assert [entry.seq for entry in written.entries(ACME)] == [1, 2, 3, 4, 5, 6]
    assert [entry.details["digest"] for entry in written.newest(ACME, 2)] == ["d5", "d4"]
    assert written.chains() == ["", ACME]


@pytest.mark.parametrize(
    "change",
    [
        "who = 'otto'", "what = 'undo'", "at = at + 1", "details = '{\"applied\":0}'",
        "details = details || ' '", "details = 'x'", "hash = 'x'", "prev_hash = 'x'",
        "chain = 'other'", "seq = 77",
    ],
)  # fmt: skip
def test_every_change_of_an_entry_is_found_and_the_first_bad_entry_is_named(
    written, tamper, change
):
    tamper(f"UPDATE audit SET {change} WHERE chain = '{ACME}' AND seq = 3")
    fault = written.verify(ACME)
    assert fault.chain == ACME
    assert fault.seq == (4 if change.startswith(("chain", "seq")) else 3)


def test_an_entry_that_was_changed_and_sealed_anew_does_not_lead_to_the_next(written, tamper):
    entry = list(written.entries(ACME))[2]
    forged = sealed(replace(entry, who="otto"))
    tamper(
        f"UPDATE audit SET who = 'otto', hash = '{forged.hash}' WHERE chain = '{ACME}' AND seq = 3"
    )
    fault = written.verify(ACME)
    assert fault is not None
    assert (fault.seq, fault.problem) == (4, "It does not follow from the entry before it.")


def test_an_entry_taken_out_of_the_middle_is_found(written, tamper):
    tamper(f"DELETE FROM audit WHERE chain = '{ACME}' AND seq = 3")
    fault = written.verify(ACME)
    assert (fault.seq, fault.problem) == (4, "Entry 3 is missing before it.")


def test_an_entry_taken_out_with_the_numbers_closed_up_is_found(written, tamper):
    tamper(
        f"DELETE FROM audit WHERE chain = '{ACME}' AND seq = 3",
        f"UPDATE audit SET seq = 3 WHERE chain = '{ACME}' AND seq = 4",
        f"UPDATE audit SET seq = 4 WHERE chain = '{ACME}' AND seq = 5",
        f"UPDATE audit SET seq = 5 WHERE chain = '{ACME}' AND seq = 6",
    )
    assert written.verify(ACME).seq == 3


def test_entries_in_another_order_are_found(written, tamper):
    swap = f"UPDATE audit SET seq = %d WHERE chain = '{ACME}' AND seq = %d"
    tamper(swap % (99, 2), swap % (2, 5), swap % (5, 99))
    assert written.verify(ACME).seq == 2


@pytest.mark.parametrize("place", [4, 7])
def test_an_entry_that_was_put_in_is_found(written, tamper, place):
    shift = [
        f"UPDATE audit SET seq = {seq + 1} WHERE chain = '{ACME}' AND seq = {seq}"
        for seq in range(6, place - 1, -1)
    ]
    tamper(
        *shift,
        f"INSERT INTO audit ({COLUMNS}) SELECT chain, {place}, at, who, what, details, hash, 'made'"
        f" FROM audit WHERE chain = '{ACME}' AND seq = {place - 1}",
    )
    assert written.verify(ACME).seq == place


def test_entries_missing_at_the_end_are_found_with_a_head_that_was_noted(written, tamper):
    noted = next(head for head in written.heads() if head.chain == ACME)
    assert written.verify(ACME, noted) is None
    tamper(f"DELETE FROM audit WHERE chain = '{ACME}' AND seq > 4")
    assert written.verify(ACME) is None
    fault = written.verify(ACME, noted)
    assert (fault.seq, "there were 6" in fault.problem) == (5, True)


def test_a_chain_that_was_written_anew_is_found_with_a_head_that_was_noted(written, tamper, clock):
    noted = next(head for head in written.heads() if head.chain == ACME)
    tamper(f"DELETE FROM audit WHERE chain = '{ACME}'")
    for _ in range(6):
        written.append(ACME, who="mina", what="plan_applied")
    assert written.verify(ACME) is None
    assert written.verify(ACME, noted).seq == 6


def test_a_chain_that_is_gone_as_a_whole_is_missed_by_the_installation(written, tamper):
    tamper(f"DELETE FROM audit WHERE chain = '{ACME}'")
    assert "acme" in written.verify(INSTALLATION).problem
    gone = AuditHead(chain=ACME, seq=6, hash="x")
    assert written.verify(ACME, gone).seq == 1


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'otto'", "DELETE FROM audit"])
def test_the_tables_refuse_what_is_not_an_append(written, ledger, statement):
    with pytest.raises(BugError), ledger._database.write() as connection:
        connection.exec_driver_sql(statement)
    assert written.verify(ACME) is None


def test_two_processes_append_to_one_chain_without_a_gap(ledger, other):
    def write(one):
        for _ in range(20):
            one.audit.append(ACME, who="mina", what="paused")

    threads = [threading.Thread(target=write, args=(one,)) for one in (ledger, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [head.seq for head in ledger.audit.heads()] == [1, 40]
    assert ledger.audit.verify(ACME) is None


def test_a_long_chain_is_read_in_pieces(ledger, monkeypatch):
    monkeypatch.setattr("crm_pipeline.store.ledger.audit._READ_ROWS", 3)
    for _ in range(9):
        ledger.audit.append(ACME, who="mina", what="paused")
    assert len(list(ledger.audit.entries(ACME))) == 9
    assert ledger.audit.verify(ACME) is None


def test_a_name_of_any_spelling_is_kept(ledger):
    ledger.audit.append(ACME, who="Zoë \x00 \ud800", what="paused", details={"why": "\x00"})
    assert ledger.audit.verify(ACME) is None


def test_a_hold_is_put_found_replaced_and_released(ledger):
    place = (ACME, "crm_com", "contact")
    ledger.holds.put(*place, "u1", {"loke:1": {"first_name": "f1"}, "loke:2": {"gender": "f2"}})
    ledger.holds.put(*place, "u2", {"loke:1": {"gender": "f3"}})
    found = ledger.holds.of(*place, ["loke:1", "loke:2", "loke:3"])
    assert {key: (each.undo_digest, dict(each.fields)) for key, each in found.items()} == {
        "loke:1": ("u2", {"gender": "f3"}),
        "loke:2": ("u1", {"gender": "f2"}),
    }
    assert ledger.holds.release(*place, ["loke:1", "loke:3"]) == 1
    assert list(ledger.holds.of(*place, ["loke:1", "loke:2"])) == ["loke:2"]


def test_the_revision_is_the_newest_of_the_ledger(ledger, url):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one()
    engine.dispose()
    assert found == revisions()[-1] >= "0004"
