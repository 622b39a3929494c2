"""Faults of disks and of what is kept on them: an error that is told, and then all is right."""

import os
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from crm_pipeline_tests.acceptance.product import COMMAND
from crm_pipeline_tests.acceptance.test_convergence import wrong
from crm_pipeline_tests.faults.test_pulling import writes
from crm_pipeline_tests.faults.tracing import can_trace
from crm_pipeline_tests.webhooks.running import RunningReceiver


def ledger_of(product) -> Path:
    return product.folder / "home" / "ledger.sqlite3"


def run_under(product, *wrapper):
    """Sync in a process of its own that something watches over; return its code and its words."""
    done = subprocess.run(
        [*wrapper, *COMMAND, "sync", "--org", "acme", "--full"],
        # What Python compiles meanwhile would be cut, and kept.
        env={**product.environment, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=product.folder, capture_output=True, text=True,
        timeout=110, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def prove_that_the_next_sync_heals(product):
    answer = product.run_here("sync", "--org", "acme", "--full")
    assert answer.code == 0, answer.err
    assert wrong(product) == []
    product.sandbox.crm_com.requests.clear()
    assert product.run_here("sync", "--org", "acme", "--full").code == 0
    assert writes(product) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "error", "when"),
    [
        ("pwrite64", "ENOSPC", 1),
        ("pwrite64", "ENOSPC", 12),
        ("pwrite64", "ENOSPC", 60),
        ("fdatasync", "EIO", 1),
        ("fdatasync", "EIO", 6),
        ("fsync", "EIO", 2),
    ],
)
def test_a_disk_call_that_fails_fails_the_run_and_the_next_one_heals(
    make_product, tmp_path, call, error, when
):
    """The kernel's own answer, from the n-th such call on."""
    if not can_trace(tmp_path):
        pytest.skip("strace is not installed, or may not trace here")
    product = make_product(acme=60)
    code, told = run_under(
        product, "strace", "-f", "--seccomp-bpf", "-o", str(tmp_path / "trace"),
        "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}+",
    )  # fmt: skip
    assert "INJECTED" in (tmp_path / "trace").read_text()
    assert code in (65, 75, 78), told
    assert "Traceback" not in told
    prove_that_the_next_sync_heals(product)


@pytest.mark.parametrize("kilobytes", [0, 8, 200, 420])
def test_a_file_that_may_grow_no_more_fails_the_run_and_the_next_one_heals(make_product, kilobytes):
    product = make_product(acme=60)
    code, told = run_under(product, "prlimit", f"--fsize={kilobytes * 1024}")
    assert code in (0, 65, 75, 78), told
    assert code != 0 or kilobytes > 200
    assert "Traceback" not in told
    prove_that_the_next_sync_heals(product)


@pytest.mark.parametrize("handles", [8, 12, 16, 24, 40])
def test_too_few_file_handles_fail_the_run_and_the_next_one_heals(make_product, handles):
    product = make_product(acme=20)
    code, _ = run_under(product, "prlimit", f"--nofile={handles}")
    assert code >= 0
    assert (code == 0) is (wrong(product) == [])
    prove_that_the_next_sync_heals(product)


def damage_header(path):
    with path.open("r+b") as file:
        file.write(b"\0" * 100)


def damage_pages(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * (size - 4_096))


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def replace_by_a_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("damage", [damage_header, damage_pages, cut, empty, replace_by_a_link],
                         ids=lambda each: each.__name__)  # fmt: skip
def test_a_damaged_ledger_is_an_error_and_never_a_beginning_from_nothing(make_product, damage):
    product = make_product(acme=30)
    assert product.run_here("sync", "--org", "acme").code == 0
    path, before = ledger_of(product), contacts(product)
    kept = path.with_name("kept")
    shutil.copy2(path, kept)
    damage(path)
    product.sandbox.crm_com.requests.clear()
    for command in (("sync", "--org", "acme"), ("sync", "--org", "acme", "--full"),
                    ("status",), ("ledger", "migrate")):  # fmt: skip
        answer = product.run_here(*command)
        assert answer.code == 70, (command, answer.code, answer.err)
        assert "Restore it from a backup" in answer.err
    assert (writes(product), contacts(product)) == (0, before)
    path.unlink()
    kept.rename(path)
    assert product.run_here("sync", "--org", "acme").code == 0
    assert writes(product) == 0


def contacts(product):
    key = product.sandbox.settings.organisations[0].crm_test_key
    return product.sandbox.crm_com.contacts(key)


def test_a_lost_watermark_sends_nothing_again(make_product):
    product = make_product(acme=50)
    assert product.run_here("sync", "--org", "acme").code == 0
    with closing(sqlite3.connect(ledger_of(product))) as connection:
        assert connection.execute("DELETE FROM watermarks").rowcount >= 1
        connection.commit()
    product.sandbox.loke.mutate(product.sandbox.settings.organisations[0].id, count=4, seed=8)
    product.sandbox.crm_com.requests.clear()
    assert product.run_here("sync", "--org", "acme").code == 0
    log = product.sandbox.crm_com.requests
    assert (log.count("POST"), log.count("PUT")) == (0, 4)
    assert wrong(product) == []


def test_a_lost_ledger_doubles_no_contact(make_product):
    product = make_product(acme=30)
    assert product.run_here("sync", "--org", "acme").code == 0
    for each in ledger_of(product).parent.glob("ledger.sqlite3*"):
        each.unlink()
    before = {each["id"] for each in contacts(product)}
    assert product.run_here("ledger", "migrate").code == 0
    assert product.run_here("sync", "--org", "acme").code == 0
    assert {each["id"] for each in contacts(product)} == before
    assert wrong(product) == []


def test_nothing_of_ours_can_be_read_by_others_whatever_the_umask(make_product):
    product = make_product(acme=20)
    before = os.umask(0)
    try:
        assert product.run("sync", "--org", "acme").code == 0
        assert product.run("verify", "--org", "acme").code == 0
        with RunningReceiver(product.folder, product.environment) as receiver:
            receiver.end()
    finally:
        os.umask(before)
    home = product.folder / "home"
    found = [home, *home.rglob("*")]
    assert len(found) > 10
    assert [each for each in found if stat.S_IMODE(each.lstat().st_mode) & 0o077] == []
