"""The demo's own folder: organisations with the ports at hand, play secrets, Dagster's home.

Every demo begins anew, because the fake vendors forget everything when they stop. Only a folder
that a demo made itself, or an empty one, is ever emptied.
"""

import fcntl
import hashlib
import json
import re
import shlex
import shutil
import socket
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import IO

from crm_pipeline.errors import ConfigurationError

MARKER = "crm-pipeline-demo"
#: Written when the acts of a day can begin, for `crm-pipeline demo act` in another terminal.
RUNNING_FILE = "demo.json"
LOKE_PORT, CRM_COM_PORT, SOPOST_PORT, RECEIVER_PORT = 8801, 8802, 8803, 8804
SLUGS = ("harbour-coffee", "northside-bakery", "metro-sushi")
DAGSTER_YAML = "telemetry:\n  enabled: false\n"
WORKSPACE_YAML = """\
load_from:
  - python_module:
      module_name: crm_pipeline.definitions
      location_name: crm_pipeline
"""
#: Not passed on to the demo's children: they would lead out of the demo's own folder.
NOT_INHERITED = ("CRM_PIPELINE_LEDGER_URL", "CRM_PIPELINE_LAKE_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the demo listens, always on 127.0.0.1."""

    loke: int
    crm_com: int
    sopost: int
    receiver: int
    dagster: int

    @property
    def loke_url(self) -> str:
        """The fake LOKE."""
        return f"http://127.0.0.1:{self.loke}"

    @property
    def crm_com_url(self) -> str:
        """The fake CRM.COM, without the path of its API."""
        return f"http://127.0.0.1:{self.crm_com}"

    @property
    def sopost_url(self) -> str:
        """The fake SoPost, without the path of its API."""
        return f"http://127.0.0.1:{self.sopost}"

    @property
    def receiver_url(self) -> str:
        """Where the vendors send webhooks."""
        return f"http://127.0.0.1:{self.receiver}"

    @property
    def dagster_url(self) -> str:
        """The Dagster UI."""
        return f"http://127.0.0.1:{self.dagster}"


def choose_ports(dagster: int) -> Ports:
    """Return the usual ports, or free ones where those are taken."""
    taken: set[int] = set()
    found = []
    for wanted in (LOKE_PORT, CRM_COM_PORT, SOPOST_PORT, RECEIVER_PORT, dagster):
        port = wanted if wanted not in taken and _is_free(wanted) else _free_port(taken)
        taken.add(port)
        found.append(port)
    loke, crm_com, sopost, receiver, ui = found
    return Ports(loke=loke, crm_com=crm_com, sopost=sopost, receiver=receiver, dagster=ui)


def demo_folder(environ: Mapping[str, str]) -> Path:
    """Return CRM_PIPELINE_HOME, or ``.demo`` in the checkout (or here, when installed)."""
    given = environ.get("CRM_PIPELINE_HOME")
    if given:
        return Path(given).expanduser().absolute()
    checkout = Path(__file__).resolve().parents[3]
    is_checkout = (checkout / "pyproject.toml").is_file()
    return (checkout if is_checkout else Path.cwd()) / ".demo"


def begin_anew(folder: Path) -> IO[str]:
    """Empty a demo's folder, or make one; return the lock that keeps other demos out of it.

    Raises ConfigurationError for a folder with any other state, or while a demo runs in it.
    """
    marker = folder / MARKER
    if folder.is_dir() and any(folder.iterdir()) and not marker.is_file():
        raise ConfigurationError(
            f"{folder} holds state that no demo has made.",
            not_done="Nothing was removed or started.",
            remedy="Unset CRM_PIPELINE_HOME, or set it to an empty folder, and start again.",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    lock = _locked(marker)
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != MARKER:
            each.unlink()
    (folder / ".gitignore").write_text("*\n")
    return lock


def _locked(marker: Path) -> IO[str]:
    lock = marker.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ConfigurationError(
            f"Another demo is running in {marker.parent}.",
            not_done="Nothing was removed or started.",
            remedy="Stop it with Ctrl-C, or set CRM_PIPELINE_HOME to another folder.",
        ) from None
    if lock.tell() == 0:
        lock.write("Made by `crm-pipeline demo`, which empties this folder.\n")
        lock.flush()
    return lock


def child_environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of the demo's children."""
    kept = {name: value for name, value in environ.items() if name not in NOT_INHERITED}
    return {**kept, "PYTHONUNBUFFERED": "1", **demo_variables(folder)}


def demo_variables(folder: Path) -> dict[str, str]:
    """Return the variables that make any command work on the demo. The secrets are play money."""
    return {
        "CRM_PIPELINE_HOME": str(folder),
        "CRM_PIPELINE_CONFIG": str(folder / "organisations"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "LOKE_CLIENT_ID": "sandbox-client",
        "LOKE_CLIENT_SECRET": "sandbox-secret",
        "SOPOST_USER_ID": "sandbox-user",
        "SOPOST_PASSWORD": "sandbox-password",
        **{f"CRM_COM_KEY_{_variable(slug)}": f"crm_test_{slug}" for slug in SLUGS},
        **{
            f"{source}_HOOK_{_variable(slug)}": hook_secret(source, slug)
            for source in ("LOKE", "SOPOST", "CRM_COM")
            for slug in SLUGS
        },
    }


def hook_secret(source: str, slug: str) -> str:
    """Return what proves the webhooks of an organisation: play money, the same in every demo."""
    return hashlib.blake2s(f"demo {source} {slug}".encode(), digest_size=16).hexdigest()


def write_files(folder: Path, ports: Ports) -> None:
    """Write organisations, variables and Dagster's files."""
    organisations = folder / "organisations"
    organisations.mkdir()
    templates = resources.files("crm_pipeline.cli.demo") / "organisations"
    for slug in SLUGS:
        text = (templates / f"{slug}.yaml").read_text(encoding="utf-8")
        (organisations / f"{slug}.yaml").write_text(_at(ports, text), encoding="utf-8")
    exports = [
        f"export {name}={shlex.quote(value)}" for name, value in demo_variables(folder).items()
    ]
    programs = shlex.quote(sysconfig.get_path("scripts"))
    exports.append(f'export PATH={programs}:"$PATH"')
    (folder / "demo.env").write_text("\n".join(exports) + "\n")
    dagster_home = folder / "dagster"
    dagster_home.mkdir()
    own = Path(__file__).resolve().parents[3] / "dagster.yaml"
    (dagster_home / "dagster.yaml").write_text(own.read_text() if own.is_file() else DAGSTER_YAML)
    (folder / "workspace.yaml").write_text(WORKSPACE_YAML)


def _at(ports: Ports, text: str) -> str:
    """Return an organisation's file with the addresses that this demo has."""
    urls = {
        LOKE_PORT: ports.loke_url,
        CRM_COM_PORT: ports.crm_com_url,
        SOPOST_PORT: ports.sopost_url,
        RECEIVER_PORT: ports.receiver_url,
    }
    usual = "|".join(map(str, urls))
    return re.sub(rf"http://127\.0\.0\.1:({usual})\b", lambda found: urls[int(found[1])], text)


def note_running(folder: Path, ports: Ports) -> None:
    """Write down where a running demo is."""
    part = folder / f"{RUNNING_FILE}.part"
    part.write_text(json.dumps({"ports": asdict(ports)}))
    part.replace(folder / RUNNING_FILE)


def find_running(folder: Path) -> Ports:
    """Return where the demo of a folder listens. Raises ConfigurationError when none is ready."""
    try:
        noted = json.loads((folder / RUNNING_FILE).read_text())
        return Ports(**noted["ports"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"No demo runs in {folder}, or its first sync goes on.",
            not_done="Nothing was done.",
            remedy="Start `crm-pipeline demo`, wait for its last line, and run its `demo.env`"
            " in this terminal.",
        ) from None


def _variable(slug: str) -> str:
    return slug.upper().replace("-", "_")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
