"""The units that we ship: hardened, with commands that there are, and each with its own secrets."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crm_pipeline.cli.main import app
from crm_pipeline.sandbox import SandboxSettings
from crm_pipeline_tests.webhooks.running import RunningReceiver, environment, loke_body

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SHIPPED = DEPLOY / "systemd"
PROGRAMS = Path(sys.executable).parent
NAMES = ("receiver", "daemon", "webserver")
ANALYZE = shutil.which("systemd-analyze")
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "UMask": "0077",
    "StateDirectoryMode": "0700",
    "CapabilityBoundingSet": "",
    "RestrictSUIDSGID": "yes",
    "LimitCORE": "0",
    "Restart": "on-failure",
}
#: What says who we are to a source or a CRM.
CREDENTIAL = re.compile(r"^(CRM_COM_KEY|LOKE_CLIENT|SOPOST_(USER|PASSWORD))")
needs_analyze = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def path_of(name: str) -> Path:
    return SHIPPED / f"crm-pipeline-{name}.service"


def settings_of(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit; one may stand there several times."""
    found: dict[str, list[str]] = {}
    for line in path_of(name).read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def variables_of(name: str) -> set[str]:
    """Return the names in the example of an environment file."""
    lines = (SHIPPED / f"{name}.env.example").read_text().splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}


def commands_of(name: str) -> list[list[str]]:
    settings = settings_of(name)
    return [line.split() for key in ("ExecStartPre", "ExecStart") for line in settings.get(key, [])]


def test_there_is_a_unit_for_each_process():
    assert {each.name for each in SHIPPED.glob("*.service")} == {path_of(n).name for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_hardened_limited_and_runs_as_a_user_of_its_own(name):
    settings = settings_of(name)
    assert {key: settings.get(key) for key in HARDENED} == {k: [v] for k, v in HARDENED.items()}
    assert {"MemoryMax", "TasksMax", "LimitNOFILE", "SystemCallFilter"} <= settings.keys()
    # Who holds a lease is read in /proc.
    assert "ProcSubset" not in settings
    [user] = settings["User"]
    users = (SHIPPED / "crm-pipeline.sysusers.conf").read_text()
    assert f"\nu {user} - " in users
    assert user != "root"


@needs_analyze
@pytest.mark.parametrize("name", NAMES)
def test_systemd_itself_finds_a_unit_safe(name):
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=30", "--no-pager", path_of(name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "Unknown option" in done.stderr or "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@needs_analyze
def test_systemd_itself_can_read_the_units(tmp_path):
    for name in NAMES:
        text = path_of(name).read_text().replace("/opt/crm-pipeline/.venv/bin", str(PROGRAMS))
        (tmp_path / path_of(name).name).write_text(text)
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", *sorted(tmp_path.iterdir())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "crm-pipeline" in line]
    assert (done.returncode, told) == (0, [])


@pytest.mark.parametrize(
    "command",
    [each for name in NAMES for each in commands_of(name)],
    ids=lambda each: each[0][-12:],
)
def test_a_unit_starts_what_there_is_with_options_that_there_are(command):
    program, *arguments = command
    done = subprocess.run(
        [PROGRAMS / Path(program).name, *arguments, "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert arguments[0].startswith("-") or arguments[0] in done.stdout


def test_the_proxy_passes_on_to_the_ports_of_the_units():
    proxy = (DEPLOY / "nginx.conf").read_text()
    for name, option in (("receiver", "--port"), ("webserver", "-p")):
        [*_, command] = commands_of(name)
        assert f"127.0.0.1:{command[command.index(option) + 1]}" in proxy


def test_only_the_process_that_does_the_work_gets_keys_of_sources_and_crms():
    files = {name: settings_of(name)["EnvironmentFile"] for name in NAMES}
    assert files == {
        "receiver": ["/etc/crm-pipeline/receiver.env"],
        "daemon": ["/etc/crm-pipeline/pipeline.env"],
        "webserver": ["/etc/crm-pipeline/webserver.env"],
    }
    held = {name: any(map(CREDENTIAL.match, variables_of(name))) for name in
            ("receiver", "pipeline", "webserver")}  # fmt: skip
    assert held == {"receiver": False, "pipeline": True, "webserver": False}
    assert settings_of("receiver")["User"] != settings_of("daemon")["User"]


def test_a_receiver_acknowledges_without_a_key_of_any_source_or_crm(tmp_path):
    """The organisations name keys; the receiver looks for none of them."""
    given = environment(tmp_path)
    allowed = re.compile(r"PATH$|LANG$|CRM_PIPELINE_|\w+_HOOK_\w+|PATH_SECRET_")
    with RunningReceiver(tmp_path, {n: v for n, v in given.items() if allowed.match(n)}) as running:
        assert running.post_loke(loke_body()).status == 200
        held = Path(f"/proc/{running.process.pid}/environ").read_bytes().split(b"\0")
        names = {os.fsdecode(each.partition(b"=")[0]) for each in held if each}
        assert [name for name in names if CREDENTIAL.match(name)] == []
        assert names <= {name for name in given if allowed.match(name)}


def test_what_the_units_start_loads_no_fake_vendor():
    program = (
        "import sys, crm_pipeline.cli.main, crm_pipeline.webhooks\n"
        "from crm_pipeline.definitions import defs\n"
        "defs()\n"
        "print([each for each in sys.modules if each.startswith('crm_pipeline.sandbox')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_fake_vendor_listens_on_this_machine_only_and_cannot_be_told_otherwise():
    sandbox = next(each for each in app.registered_commands if each.name == "sandbox")
    assert "host" not in inspect.signature(sandbox.callback).parameters
    assert SandboxSettings().host == "127.0.0.1"
