"""One command, killed before one of its calls and healed, as often as it is asked.

A process of its own (`python -m crm_pipeline_tests.faults.rehearsing WORK FOLDER`) prepares a shop
once. For each number that it reads it forks: the fork has the vendors as they were, puts the home
folder back, and plays. `Rehearsal` is the side of those who ask.
"""

import dataclasses
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

from crm_pipeline.core.signature import loke_signature
from crm_pipeline.sandbox import Sandbox
from crm_pipeline_tests.acceptance.product import HOOK_SECRET, Product
from crm_pipeline_tests.acceptance.trading import LISTS, LISTS_ARE_DOWN, Trading, trading
from crm_pipeline_tests.faults.calls import can_watch
from crm_pipeline_tests.faults.forking import (
    NO_THREADS,
    Commands,
    Ended,
    forked,
    require_one_thread,
    until,
)
from crm_pipeline_tests.webhooks.running import call

WORKS = ("pull", "apply", "erase", "receive", "sync")
SIGKILLED = -signal.SIGKILL
#: Longer than any play takes.
_PLAY_SECONDS = 400


@dataclasses.dataclass
class Death:
    """What came of one play: before which call the command died, and what was wrong in the end."""

    number: int
    #: The calls that were counted; the last one was not made when the command was killed there.
    calls: list[str]
    is_killed: bool
    wrong: str
    seconds: float

    @property
    def call(self) -> str:
        """The last call, in words."""
        return self.calls[-1] if self.calls else ""


class CannotWatchError(Exception):
    """System calls cannot be watched here."""


class Rehearsal:
    """A shop with something of everything to do, in the same state for each play."""

    def __init__(self, work: str, folder: Path) -> None:
        """Prepare it, and play once without a kill: all has to be right, after these ``calls``.

        Raises CannotWatchError where system calls cannot be watched.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crm_pipeline_tests.faults.rehearsing", work, str(folder)],
            env={**os.environ, **NO_THREADS}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            if self._line() != "ready":
                raise CannotWatchError
            whole = self.play(0)
            assert whole.wrong == "", whole
        except BaseException:
            self.close()
            raise
        self.calls = whole.calls

    def play(self, number: int) -> Death:
        """Kill the command before its call of this number, from 1; heal and judge."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return Death(**self._line())

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the rehearsal died"
        return json.loads(line)

    def __enter__(self) -> Self:
        """Nothing: it is prepared."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Stage:
    """A prepared shop whose vendors sleep."""

    def __init__(self, work: str, shop: Trading, commands: Commands) -> None:
        self._work = work
        self._shop = shop
        self._commands = commands
        self._home = shop.product.folder / "home"
        self._kept = shop.product.folder / "kept"
        self._prepare()
        self._home.mkdir(exist_ok=True)
        self._home.rename(self._kept)
        self._reserved = _put_to_sleep(shop.product.sandbox)

    def _prepare(self) -> None:
        shop, work = self._shop, self._work
        organisation = shop.organisation.id
        people = [each["id"] for each in shop.loke.customers(organisation)]
        shop.loke.add_members(organisation, next(iter(LISTS)), people[:3])
        if work in ("sync", "erase"):
            shop.sync()
            shop.loke.update_customer(organisation, people[0], {"firstName": "Anew"})
        if work == "receive":
            shop.keep_webhooks()
            shop.sync()
            shop.loke.create_customer(organisation, email="new@example.com")
            shop.clock.later(5)
            self._body = shop.kept_webhooks()[-1]
            return
        sold = shop.loke.complete_payment(organisation, customer=people[1], total=1_250)
        shop.clock.later(5)
        shop.loke.refund(organisation, sold["id"])
        shop.clock.later(5)
        if work == "apply":
            for command, code in (("pull", 0), ("plan", 2)):  # 2: there are changes to send
                assert shop.product.run(command, "--org", shop.slug).code == code

    def play(self, number: int) -> Death:
        """Play in a process that was forked for it."""
        shop, begun = self._shop, time.monotonic()
        shutil.rmtree(self._home, ignore_errors=True)
        if any(self._kept.iterdir()):
            shutil.copytree(self._kept, self._home)
        shop.product.sandbox.start()
        play = self._receive if self._work == "receive" else self._run
        ended, wrong = Ended(0, "", "", []), ""
        try:
            ended = play(number)
            assert ended.code in (0, SIGKILLED), (ended.code, ended.err)
            self._prove_healed()
        except Exception:  # noqa: BLE001  it is told
            wrong = traceback.format_exc()
        is_killed = ended.code == SIGKILLED and len(ended.calls) == number
        return Death(number, ended.calls, is_killed, wrong, time.monotonic() - begun)

    def _run(self, number: int) -> Ended:
        words: tuple[str, ...] = (self._work, "--org", self._shop.slug)
        if self._work == "erase":
            words = (*words, "--subject", self._subject, "--yes")
        return self._commands.run(self._shop.product, words, number)

    @property
    def _subject(self) -> str:
        """The key of who is erased."""
        return f"loke:{self._shop.loke.customers(self._shop.organisation.id)[2]['id']}"

    def _receive(self, number: int) -> Ended:
        """Deliver a webhook to a receiver that is killed; again to another, as LOKE does."""
        with self._receiver(number) as port:
            self._commands.arm()
            is_taken = self._is_taken(port)
        ended = self._ended
        if not is_taken:
            with self._receiver(None) as port:
                assert self._is_taken(port)
        return ended

    @contextmanager
    def _receiver(self, number: int | None) -> Iterator[int]:
        product = self._shop.product
        ready = product.folder / "ready"
        ready.unlink(missing_ok=True)
        words = ("receiver", "--port", "0", "--ready-file", str(ready))
        self._commands.begin(product, words, number, is_armed=False)
        until(ready.exists)
        yield int(ready.read_text())
        self._commands.end()
        self._ended = self._commands.ended()

    def _is_taken(self, port: int) -> bool:
        headers = {"X-Event-Signature": loke_signature(self._body, HOOK_SECRET)}
        path = f"/webhooks/loke/{self._shop.slug}"
        try:
            return call(port, "POST", path, self._body, headers).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _prove_healed(self) -> None:
        """Go on without a person; the CRM is right, and then nothing is written any more.

        This process was forked for it, so that it is another than the one that was killed.
        """
        shop, left = self._shop, None
        forked = shop.product
        shop.product = Product(forked.folder, forked.sandbox, forked.waits)
        if self._work == "erase":
            left = self._subject
            answer = shop.product.run_here("erase", "--org", shop.slug, "--subject", left, "--yes")
            assert answer.code in (0, 65), answer.err  # 65: the killed one was complete
            assert len(list((self._home / "receipts").iterdir())) == 1
        if self._work == "receive":
            shop.loke.faults.add(LISTS_ARE_DOWN)  # nothing but the webhook can bring anybody
            shop.sync(codes=(75,))
            assert shop.wrong() == []
            shop.loke.faults.clear()
        shop.sync()
        assert [each for each in shop.wrong() if left is None or left not in each] == []
        shop.crm.requests.clear()
        shop.sync("--full")
        assert shop.writes() == 0


def _put_to_sleep(sandbox: Sandbox) -> list[socket.socket]:
    """Stop the vendors; their next start has the same addresses, which nobody takes meanwhile."""
    ports = [
        urlsplit(url).port or 0
        for url in (sandbox.loke_url, sandbox.crm_com_url, sandbox.sopost_url)
    ]
    sandbox.stop()
    until(lambda: len(os.listdir("/proc/self/task")) == 1)
    sandbox.settings = dataclasses.replace(
        sandbox.settings, loke_port=ports[0], crm_com_port=ports[1], sopost_port=ports[2]
    )
    reserved = []
    for port in ports:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((sandbox.settings.host, port))
        reserved.append(bound)  # bound but not listening: another may listen
    return reserved


def main() -> None:
    """Play each number that is asked for; tell of each on a line."""
    work, folder = sys.argv[1], Path(sys.argv[2])
    print(json.dumps("ready" if can_watch() else "no"), flush=True)
    commands = Commands()
    with trading(folder, customers=6, payments=6) as shop:
        shop.product = forked(shop.product, commands)
        stage = Stage(work, shop, commands)
        for line in sys.stdin:
            require_one_thread()
            pid = os.fork()
            if pid == 0:
                _play_and_end(stage, int(line))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code == 0, (work, line, code)
    os._exit(0)


def _play_and_end(stage: Stage, number: int) -> NoReturn:
    """Be the process of one play."""
    code = 1
    try:
        signal.alarm(_PLAY_SECONDS)
        told = json.dumps(dataclasses.asdict(stage.play(number)))
        os.write(1, f"{told}\n".encode())
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
