"""One person is erased everywhere, for ever; nobody else is touched."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.beside import Work, beside_sync
from crm_pipeline.sync.erase.again import again_under_lease
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.erase.running import erase, resume, resume_erasures
from crm_pipeline_tests.nights import night
from crm_pipeline_tests.sync.dying import EXIT_DIED
from crm_pipeline_tests.sync.erasing import (
    CANARY,
    EMAILS,
    KEY,
    NAMES,
    ORGANISATION,
    PHONES,
    SHARED,
    SLUG,
    World,
)

CRM_IS_DOWN = FaultRule(kind="status", status=503, path=r"/contacts", times=None)
pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION,), page_size=5)) as sandbox:
        made = World(tmp_path, sandbox)
        made.install()
        yield made


def is_anonymous(world: World) -> bool:
    contact = world.contact() or {}
    said = {name: value for name, value in contact.items() if name not in ("id", "code")}
    texts = json.dumps(said, default=str).casefold()
    assert contact["email_opt_out"] is contact["sms_opt_out"] is True
    assert contact["tags"] == []
    return not any(each.casefold() in texts for each in world.identifiers())


def test_nothing_of_an_erased_person_is_found_in_any_file(world: World):
    world.live()
    places = {hit.partition(": ")[0].split("/")[0] for hit in world.hits()}
    assert places >= {"lake", "ledger.sqlite3"}
    others = world.remote_codes() - {KEY}
    before = {each["code"]: each for each in world.sandbox.crm_com.contacts(ORGANISATION.slug)}

    found = world.erase("--subject", EMAILS[0].upper(), "--dry-run")
    assert found["ledger"]["inbox"] == 4
    assert found["ledger"]["rejects"] == 1
    assert world.hits() != []
    done = world.erase("--subject", EMAILS[0].upper(), "--yes")["erasures"][0]

    assert done["is_complete"]
    assert world.hits() == []
    assert is_anonymous(world)
    after = {each["code"]: each for each in world.sandbox.crm_com.contacts(ORGANISATION.slug)}
    assert {code: after[code] for code in others} == {code: before[code] for code in others}
    receipt = Path(done["receipt"])
    assert receipt.stat().st_mode & 0o777 == 0o600
    assert json.loads(receipt.read_text())["removed"]["lake"]["landed/loke/payments"] >= 2


def test_no_path_brings_an_erased_person_back(world: World):
    world.live()
    kept = world.keep_lake()
    world.erase("--subject", CANARY, "--yes")
    codes = world.remote_codes()
    loke, organisation = world.sandbox.loke, ORGANISATION.id

    loke.update_customer(organisation, CANARY, fields={"firstName": NAMES[0]})
    loke.add_members(organisation, "LST-VIP", [CANARY])
    world.buy(total=500)
    world.sync()
    assert world.hits() == []
    world.sync("--full")
    assert world.hits() == []
    world.post("customer.updated", {"customer": world.customer(updatedAt="2027-01-01T00:00:00Z")})
    world.post("customer.exploded", {"customer": world.customer()})
    for order_id in world.order_ids[:1]:
        world.sandbox.sopost.advance(order_id)
        world.tell_order(order_id)
    world.order_samples()
    world.sync()
    world.sync("--full")
    # The new order's id is not the erased person's, and is kept nowhere all the same.
    assert world.hits() == []
    world.run("verify", "--org", SLUG)
    assert world.hits() == []

    world.restore_lake(kept)
    world.sync("--full")
    with world.runtime() as runtime:
        desired = runtime.workspace.lake.current(SLUG, "desired/contacts", "key").read_all()
    assert f"loke:{CANARY}" not in desired.column("key").to_pylist()
    assert is_anonymous(world)
    assert world.remote_codes() == codes
    assert world.hits() != []
    again = world.erase("--again")["erasures"]
    assert [each["is_complete"] for each in again] == [True]
    assert world.hits() == []
    world.sync("--full")
    assert (world.hits(), world.remote_codes()) == ([], codes)


def test_a_ledger_from_before_gets_its_tombstones_back_from_the_receipts(world: World):
    world.live()
    kept = world.folder / "kept"
    shutil.copytree(world.home, kept)
    world.erase("--subject", CANARY, "--yes")
    for name in ("lake", "ledger.sqlite3"):
        target = world.home / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        source = kept / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    for ending in ("-wal", "-shm"):
        (world.home / f"ledger.sqlite3{ending}").unlink(missing_ok=True)
    assert world.hits() != []
    with world.runtime() as runtime:
        reports = again_under_lease(runtime.workspace, runtime.organisation(SLUG), who="test")
        assert all(each.is_complete for each in reports)
    assert world.hits() == []
    world.sync("--full")
    assert world.hits() == []
    assert is_anonymous(world)


def test_what_erased_people_send_is_counted_and_emptied(world: World):
    world.live()
    world.erase("--subject", CANARY, "--yes")
    world.post("customer.updated", {"customer": world.customer()})
    with world.runtime() as runtime:
        from crm_pipeline.sync.run import sync_organisation

        ws, organisation = runtime.workspace, runtime.organisation(SLUG)
        report = sync_organisation(ws, organisation, is_full=True)
        assert report.drained is not None
        assert report.drained.erased == 1
        assert report.pulls["loke/customers"].erased >= 1
        assert report.pulls["loke/list_members"].erased >= 1
        assert report.pulls["loke/payments"].erased >= 2
        assert report.errors == []
        assert erased_of(ws, SLUG).has("loke/customers", CANARY)
    assert world.hits() == []


def test_a_medium_that_others_have_stays_theirs(world: World):
    loke, organisation = world.sandbox.loke, ORGANISATION.id
    sister = "01HS1STER0CUST0MER00000001"
    loke.create_customer(
        organisation,
        **world.customer(id=sister, firstName="Ottilie", email=SHARED, phoneNumber="+61491570158"),
    )
    world.sync("--full")
    loke.create_customer(organisation, **world.customer(email=SHARED))
    world.sync()
    refused = world.erase("--subject", SHARED, "--yes", code=78)
    assert KEY in refused["error"]["happened"]
    found = world.erase("--subject", KEY, "--dry-run")
    assert (found["media"], found["shared_media"]) == (1, 1)
    world.erase("--subject", KEY, "--yes")
    assert world.hits([CANARY, NAMES[0], PHONES[0]]) == []
    assert world.hits([SHARED]) != []
    loke.update_customer(organisation, sister, fields={"firstName": "Otti"})
    world.sync("--full")
    theirs = world.sandbox.crm_com.contact(ORGANISATION.crm_test_key, f"loke:{sister}") or {}
    assert theirs["first_name"] == "Otti"
    assert theirs["email_opt_out"] is False


def test_an_address_that_the_erased_one_kept_from_another_goes_to_them(world: World):
    world.sync("--full")
    loke, organisation = world.sandbox.loke, ORGANISATION.id
    owner, other = sorted(each["id"] for each in loke.customers(organisation))[:2]
    loke.update_customer(organisation, owner, fields={"email": SHARED})
    loke.update_customer(organisation, other, fields={"email": SHARED})
    world.sync()
    key = ORGANISATION.crm_test_key
    crm = world.sandbox.crm_com
    emails = [crm.contact(key, f"loke:{each}")["email"] for each in (owner, other)]
    assert emails == [SHARED, None]
    world.erase("--subject", owner, "--yes")
    world.sync("--full")
    assert crm.contact(key, f"loke:{other}")["email"] == SHARED


def test_a_new_account_with_the_same_address_is_closed_until_a_newer_yes(world: World):
    world.live()
    world.erase("--subject", CANARY, "--yes")
    loke, organisation = world.sandbox.loke, ORGANISATION.id
    new = "01HNEWACC0UNT0000000000001"
    old_time = "2026-01-01T00:00:00.000Z"
    loke.create_customer(
        organisation,
        **world.customer(id=new, email=EMAILS[1], createdAt=old_time, updatedAt=old_time),
    )
    world.sync("--full")
    contact = world.sandbox.crm_com.contact(ORGANISATION.crm_test_key, f"loke:{new}") or {}
    assert contact["first_name"] == NAMES[0]
    assert (contact["email_opt_out"], contact["sms_opt_out"]) == (True, True)
    loke.update_customer(organisation, new, fields={"hasAgreedToMarketing": False})
    world.sync()
    loke.update_customer(organisation, new, fields={"hasAgreedToMarketing": True})
    world.sync()
    contact = world.sandbox.crm_com.contact(ORGANISATION.crm_test_key, f"loke:{new}") or {}
    assert contact["email_opt_out"] is False


def test_a_crm_that_is_down_leaves_the_erasure_open_until_it_answers(world: World):
    world.live()
    world.sandbox.crm_com.faults.add(CRM_IS_DOWN)
    opened = world.erase("--subject", CANARY, "--yes", code=75)["erasures"][0]
    assert not opened["is_complete"]
    assert opened["receipt"] == ""
    assert not [hit for hit in world.hits() if hit.startswith("lake/")]
    world.sandbox.crm_com.faults.clear()
    with world.runtime() as runtime:
        ws, organisation = runtime.workspace, runtime.organisation(SLUG)
        (report,) = resume_erasures(ws, organisation)
        assert report.is_complete
        assert resume_erasures(ws, organisation) == []
    assert world.hits() == []
    assert is_anonymous(world)


def test_a_failure_that_named_the_persons_contact_is_forgotten_with_them(world: World):
    world.live()
    world.sandbox.crm_com.faults.add(CRM_IS_DOWN)
    world.erase("--subject", CANARY, "--yes", code=75)
    world.sync(code=75)
    [crm_id] = world.crm_ids
    with world.runtime() as runtime:
        assert crm_id in (runtime.ledger.organisations.status(SLUG).failure_message or "")
    world.sandbox.crm_com.faults.clear()
    done = world.erase("--subject", CANARY, "--yes")["erasures"][0]
    assert done["is_complete"]
    assert world.hits() == []
    with world.runtime() as runtime:
        assert runtime.ledger.organisations.status(SLUG).failure_code


def test_a_plan_of_before_is_never_applied(world: World):
    world.live()
    world.sandbox.loke.update_customer(ORGANISATION.id, CANARY, fields={"firstName": "Zeb"})
    world.run("pull", "--org", SLUG)
    plans = world.run("plan", "--org", SLUG, "--json", code=2)["plans"]
    digest = next(each["digest"] for each in plans if sum(each["counts"].values()))
    world.erase("--subject", CANARY, "--yes")
    world.run("apply", "--org", SLUG, digest, code=75)
    world.run("plan", "approve", "--org", SLUG, digest)
    refused = world.run("apply", "--org", SLUG, digest, "--json", code=65)
    assert "not kept any more" in json.dumps(refused)
    assert is_anonymous(world)


def test_an_erasure_is_not_complete_while_another_process_keeps_the_log(world: World):
    world.live()
    file = f"file:{world.home / 'ledger.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(file, uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM applied").fetchone()
        with world.runtime() as runtime:
            ledger = Ledger(
                f"sqlite:///{world.home / 'ledger.sqlite3'}", clock=runtime.clock, busy_seconds=0.2
            )
            ws = replace(runtime.workspace, ledger=ledger)
            report = erase(ws, runtime.organisation(SLUG), CANARY, who="test")
            assert report is not None
            assert [error.code for error in report.troubles] == ["try_later"]
            assert not report.is_complete
            assert report.receipt == ""
            reader.execute("COMMIT")
            (done,) = resume(ws, runtime.organisation(SLUG), who="test")
            assert done.is_complete
            ledger.close()
    assert world.hits() == []


@pytest.mark.parametrize("work", ["plan", "verify"])
def test_an_erasure_is_not_complete_while_somebody_may_write_the_person_down(
    world: World, work: Work
):
    world.live()
    with world.runtime() as runtime:
        ws, organisation = runtime.workspace, runtime.organisation(SLUG)
        with beside_sync(ws, SLUG, work):
            report = erase(ws, organisation, CANARY, who="test")
            assert report is not None
            assert [error.code for error in report.troubles] == [LeaseHeldError.code]
            assert report.receipt == ""
        (done,) = resume(ws, organisation, who="test")
        assert done.is_complete
    assert world.hits() == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("further", [2, *night(8)])
def test_a_killed_erasure_is_completed_by_the_next(world: World, further: int):
    world.live()
    kept = world.folder / "kept"
    shutil.copytree(world.home, kept)
    steps = int(dying(world, 0).stderr.rpartition("steps ")[2])
    assert steps > 50
    chance = random.Random(7)
    points = sorted({1, 2, *chance.sample(range(3, steps), further), steps - 1, steps})
    for point in points:
        shutil.rmtree(world.home)
        shutil.copytree(kept, world.home)
        died = dying(world, point)
        assert died.returncode == EXIT_DIED, died.stderr
        with world.runtime() as runtime:
            (erasure,) = runtime.ledger.tombstones.list(SLUG)
        world.erase("--resume")
        assert world.hits() == [], point
        with world.runtime() as runtime:
            (done,) = runtime.ledger.tombstones.list(SLUG)
        assert done.is_complete
        assert done.id == erasure.id
        assert len(list((world.home / "receipts").glob("*.json"))) == 1


def dying(world: World, point: int) -> "subprocess.CompletedProcess[str]":
    """Erase the canary in a process of its own that dies at a point."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "crm_pipeline_tests.sync.dying",
            str(point),
            *("erase", "--org", SLUG, "--subject", CANARY, "--yes"),
        ],
        env={**kept, **world.environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
