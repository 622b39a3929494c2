"""The demo's parts: its folder, its ports, its children. The whole demo is an acceptance test."""

import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from crm_pipeline.cli.demo import state
from crm_pipeline.cli.demo.children import Child, Children, adopt_orphans
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.settings import load_organisations, load_settings

#: A child that ignores SIGTERM, with a grandchild that outlives it; says when both are ready.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), grandchild.pid, flush=True)
time.sleep(600)
"""
LEAVES_ORPHAN = """
import subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(grandchild.pid, flush=True)
"""


def wait_for_log(child: Child, words: int) -> list[int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = child.last_lines().split()
        if len(found) >= words:
            return [int(word) for word in found]
        time.sleep(0.02)
    raise AssertionError("the child said nothing")


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    monkeypatch.setattr("crm_pipeline.cli.demo.children.STOP_SECONDS", 0.5)
    return Children(dict(os.environ))


def test_stopping_ends_children_that_do_not_listen_and_their_children(
    children: Children, tmp_path: Path
) -> None:
    child = children.start("stubborn", (sys.executable, "-c", STUBBORN), log=tmp_path / "log")
    pids = wait_for_log(child, 2)
    children.stop()
    assert [pid for pid in pids if is_running(pid)] == []
    assert child.exit_code == -signal.SIGKILL


def test_what_a_dead_child_left_behind_is_stopped_too(children: Children, tmp_path: Path) -> None:
    child = children.start("gone", (sys.executable, "-c", LEAVES_ORPHAN), log=tmp_path / "log")
    (orphan,) = wait_for_log(child, 1)
    child.process.wait(30)
    assert children.first_dead() is child
    assert is_running(orphan)
    children.stop()
    assert not is_running(orphan)
    assert children.first_dead() is None


def test_a_log_is_private(children: Children, tmp_path: Path) -> None:
    child = children.start("quick", (sys.executable, "-c", "print(1)"), log=tmp_path / "l" / "log")
    child.process.wait(30)
    children.forget(child)
    assert stat.S_IMODE((tmp_path / "l" / "log").stat().st_mode) == 0o600
    assert children.running == []


def test_orphans_can_be_adopted_twice() -> None:
    adopt_orphans()
    adopt_orphans()


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        chosen = state.choose_ports(port)
    assert chosen.dagster != port
    ports = {chosen.loke, chosen.crm_com, chosen.sopost, chosen.receiver, chosen.dagster}
    assert len(ports) == 5


def test_the_ui_may_not_take_a_port_of_the_vendors() -> None:
    chosen = state.choose_ports(state.LOKE_PORT)
    assert chosen.dagster != chosen.loke


def test_the_demo_s_organisations_are_right_at_any_port(tmp_path: Path) -> None:
    ports = state.Ports(loke=8802, crm_com=2222, sopost=4444, receiver=5555, dagster=3333)
    folder = tmp_path / "demo"
    folder.mkdir()
    state.write_files(folder, ports)
    settings = load_settings(state.child_environment({}, folder))
    loaded = load_organisations(settings)
    assert set(loaded.organisations) == set(state.SLUGS)
    for organisation in loaded.organisations.values():
        loke, crm = organisation.sources["loke"], organisation.destinations["crm_com"]
        assert loke.token_url == "http://127.0.0.1:8802/token"
        assert organisation.sources["sopost"].base_url == "http://127.0.0.1:4444/v1"
        assert crm.base_url == "http://127.0.0.1:2222/backoffice/v2"
        assert crm.api_key.env in state.demo_variables(folder)
        for source in organisation.sources.values():
            assert source.webhooks is not None
            assert source.webhooks.url == "http://127.0.0.1:5555"
            assert source.webhooks.secret.env in state.demo_variables(folder)
    assert (folder / "dagster" / "dagster.yaml").is_file()


def test_the_demo_never_leads_out_of_its_own_folder(tmp_path: Path) -> None:
    outside = {"CRM_PIPELINE_LEDGER_URL": "postgresql://elsewhere/db", "PATH": "/bin"}
    environment = state.child_environment(outside, tmp_path)
    assert "CRM_PIPELINE_LEDGER_URL" not in environment
    assert environment["PATH"] == "/bin"
    assert environment["DAGSTER_HOME"] == str(tmp_path / "dagster")


def test_a_demo_empties_only_a_folder_that_a_demo_made(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "ledger.sqlite3").write_text("precious")
    with pytest.raises(ConfigurationError, match="no demo has made"):
        state.begin_anew(folder)
    assert (folder / "ledger.sqlite3").read_text() == "precious"


def test_a_demo_begins_anew_and_follows_no_links(tmp_path: Path) -> None:
    folder, outside = tmp_path / "home", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    state.begin_anew(folder).close()
    (folder / "lake").mkdir()
    (folder / "link").symlink_to(outside)
    state.begin_anew(folder).close()
    assert sorted(each.name for each in folder.iterdir()) == [".gitignore", state.MARKER]
    assert (outside / "precious").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with state.begin_anew(tmp_path), pytest.raises(ConfigurationError, match="Another demo"):
        state.begin_anew(tmp_path)
    state.begin_anew(tmp_path).close()


def test_the_demo_s_folder_is_the_home_that_was_set_or_one_in_the_checkout() -> None:
    assert state.demo_folder({"CRM_PIPELINE_HOME": "/x"}) == Path("/x")
    assert state.demo_folder({}).name == ".demo"


def test_the_organisations_of_the_checkout_and_of_the_demo_are_the_same() -> None:
    checkout = Path(__file__).resolve().parents[2]
    ours, theirs = checkout / "organisations", Path(state.__file__).parent / "organisations"
    names = {each.name for each in theirs.glob("*.yaml")}
    assert names == {f"{slug}.yaml" for slug in state.SLUGS}
    assert {name: (ours / name).read_text() for name in names} == {
        name: (theirs / name).read_text() for name in names
    }


def test_where_a_demo_runs_is_known_only_while_it_is_ready(tmp_path: Path) -> None:
    ports = state.Ports(loke=1, crm_com=2, sopost=3, receiver=4, dagster=5)
    with pytest.raises(ConfigurationError, match="No demo runs"):
        state.find_running(tmp_path)
    state.note_running(tmp_path, ports)
    assert state.find_running(tmp_path) == ports


def test_a_child_that_may_end_is_nobody_s_death(children: Children, tmp_path: Path) -> None:
    quick = (sys.executable, "-c", "pass")
    child = children.start("quick", quick, log=tmp_path / "log", may_end=True)
    child.process.wait(30)
    assert children.first_dead() is None
    children.forget(child)
