"""Commands of the product as real processes, without the seconds that starting Python takes.

A server imports the command line, starts no thread, and forks for each command: the child gets its
own environment and folder and then does what `python -m crm_pipeline` does, to the interpreter's
end. Before that it can be watched, and killed before any of its calls (`calls`).
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import crm_pipeline
from crm_pipeline_tests.acceptance.product import SECONDS, Answer, Product
from crm_pipeline_tests.faults.calls import Watch, be_watched

#: Variables without which libraries would start threads when they are imported: the memory of two,
#: and the algebra below NumPy, which few installations have.
NO_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
#: What libraries import only when it is needed, which is always.
_ON_DEMAND = (
    "alembic.command", "alembic.config", "certifi", "encodings.idna", "encodings.utf_8_sig", "h11",
    "httpcore", "pydantic.type_adapter", "typer._adapters",
)  # fmt: skip
_NOT_OF_A_COMMAND = (".migrations", ".__main__", ".defs", ".definitions")


@dataclass
class Ended:
    """A command that ended, with the calls that were counted."""

    code: int
    out: str
    err: str
    calls: list[str]


class Commands:
    """The server: a fork of this process, which must not have started a thread yet."""

    def __init__(self) -> None:
        import_commands()
        require_one_thread()
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _serve(theirs)
        theirs.close()
        self._socket = ours
        self._lines = ours.makefile("rw")

    def run(self, product: Product, words: tuple[str, ...], at: int | None = None) -> Ended:
        """Run a command to its end, or to its ``at``-th call; 0 counts the calls, None does not."""
        self.begin(product, words, at)
        return self.ended()

    def begin(
        self, product: Product, words: tuple[str, ...], at: int | None, *, is_armed: bool = True
    ) -> None:
        """Let a command run, and come back; no other may run until it ended."""
        asked = {
            "words": words,
            "environment": product.environment,
            "folder": str(product.folder),
            "at": at,
            "is_armed": is_armed,
        }
        _tell(self._lines, asked)

    def arm(self) -> None:
        """Count the calls of the command at work from here on."""
        os.kill(self._pid, signal.SIGUSR1)
        assert json.loads(self._lines.readline()) == "armed"

    def end(self) -> None:
        """Kill the command at work."""
        os.kill(self._pid, signal.SIGUSR2)

    def ended(self) -> Ended:
        """Wait until the command ends."""
        return Ended(**json.loads(self._lines.readline()))

    def close(self) -> None:
        """End the server."""
        self._lines.close()
        self._socket.close()
        os.waitpid(self._pid, 0)


class ForkedProduct(Product):
    """An installation whose commands are forked."""

    commands: Commands

    def run(self, *arguments: str) -> Answer:
        """Run one command to its end."""
        ended = self.commands.run(self, arguments)
        return Answer(ended.code, ended.out, ended.err)

    run_here = run


def forked(product: Product, commands: Commands) -> ForkedProduct:
    """Return the same installation, with forked commands."""
    made = ForkedProduct(product.folder, product.sandbox, product.waits)
    made.commands = commands
    return made


def import_commands() -> None:
    """Import all that a command can need."""
    for module in pkgutil.walk_packages(crm_pipeline.__path__, "crm_pipeline."):
        if not any(part in module.name for part in _NOT_OF_A_COMMAND):
            importlib.import_module(module.name)
    for name in _ON_DEMAND:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # it is for good: a command need not look through it again


def require_one_thread() -> None:
    """Raise AssertionError when this process has more threads: to fork it would be a gamble."""
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir()]
    assert len(names) == 1, names


def _serve(line: socket.socket) -> None:
    """Run commands until nobody asks any more."""
    lines = line.makefile("rw")
    while asked := lines.readline():
        _run(json.loads(asked), lines)
    os._exit(0)


def _run(asked: dict[str, Any], lines: IO[str]) -> None:
    out, err = os.memfd_create("out"), os.memfd_create("err")
    is_watched = asked["at"] is not None
    pid = os.fork()
    if pid == 0:
        _become(asked, (os.open(os.devnull, os.O_RDONLY), out, err), is_watched=is_watched)
    watch = Watch(pid, asked["at"] or 0, is_counting=asked["is_armed"])

    def arm(*_: object) -> None:
        watch.is_counting = True
        _tell(lines, "armed")

    def kill(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    for number, act in ((signal.SIGUSR1, arm), (signal.SIGUSR2, kill), (signal.SIGALRM, kill)):
        signal.signal(number, act)
    signal.alarm(SECONDS)
    if is_watched:
        watch.run()
        code = watch.code
    else:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.alarm(0)
    ended = {"code": code, "out": _text(out), "err": _text(err), "calls": watch.calls}
    _tell(lines, ended)


def _tell(lines: IO[str], what: Any) -> None:
    lines.write(json.dumps(what) + "\n")
    lines.flush()


def _text(descriptor: int) -> str:
    """Return what was written, without DuckDB's pages about what stays frozen to the end."""
    with os.fdopen(descriptor, "rb") as written:
        written.seek(0)
        return written.read().decode(errors="replace").partition("nanobind: leaked")[0]


def _become(asked: Mapping[str, Any], streams: tuple[int, ...], *, is_watched: bool) -> None:
    """Be the process of a command, to its end."""
    from crm_pipeline.cli.main import run

    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(len(streams), os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    if is_watched:
        be_watched()
    run(asked["words"])


def until(is_true: Any, seconds: float = 30) -> None:
    """Wait for a condition. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
