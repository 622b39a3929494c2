"""A throw-away Postgres of its own, from the binaries that this machine has.

Here: finding the binaries, starting a cluster on a private socket, stopping it. Not here: fixtures
(``conftest``). The cluster listens on a Unix socket only, so no port can collide.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

SUPERUSER = "crm_pipeline"
START_TIMEOUT_SECONDS = 60


class PostgresMissingError(Exception):
    """This machine has no Postgres that could be started."""


def find_binaries() -> Path:
    """Return the folder that holds ``initdb``, ``pg_ctl`` and ``postgres``, the newest first."""
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(debian, key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("pg_ctl")
    for folder in [*([Path(on_path).resolve().parent] if on_path else []), *newest_first]:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise PostgresMissingError(
        "no Postgres server on this machine: pg_ctl is neither on PATH nor in"
        " /usr/lib/postgresql/*/bin (Debian: apt-get install postgresql)"
    )


def owner() -> pwd.struct_passwd | None:
    """Return the account to run as, or None for ours: Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresMissingError("this is root, and there is no postgres or nobody account to run as")


@contextlib.contextmanager
def running_cluster(*options: str, is_durable: bool = False) -> Iterator[str]:
    """Start an empty cluster, yield the URL of its ``postgres`` database, remove it at the end.

    ``options`` are settings of the server. Only a durable one waits for its disk.
    """
    binaries, account = find_binaries(), owner()
    home = Path(tempfile.mkdtemp(prefix="crm-pg-"))  # short: a socket's path ends at 107 bytes
    if account:
        os.chown(home, account.pw_uid, account.pw_gid)

    def run(tool: str, *options: str) -> None:
        done = subprocess.run(
            [binaries / tool, "-D", home / "data", *options],
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            cwd=home,
            stdout=subprocess.DEVNULL,  # the server inherits it: a pipe would never end
            stderr=subprocess.DEVNULL,
            timeout=START_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            log = home / "log"
            raise RuntimeError(
                f"{tool} {options} ended with {done.returncode}. "
                + (log.read_text() if log.exists() else "It left no log.")
            )

    # The sort order is C and the encoding UTF-8 wherever the tests run.
    run("initdb", "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    settings = ("listen_addresses=''", f"unix_socket_directories='{home}'", *options)
    settings += (f"fsync={'on' if is_durable else 'off'}",)
    given = " ".join(f"-c {each}" for each in settings)
    run("pg_ctl", "-w", "-l", str(home / "log"), "-o", given, "start")
    try:
        yield database_url(home, "postgres")
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


def database_url(socket_folder: Path, database: str) -> str:
    """Return the URL of a database, in the form that SQLAlchemy takes."""
    socket = quote(str(socket_folder), safe="")
    return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={socket}"
