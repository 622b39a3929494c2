"""kill -9 at a system call: of one pull, one apply, one sync, one erasure, one receipt.

strace counts the calls of storage and network that a command makes, then kills the process on its
way into the n-th of one of them. `pytest --kills 1000` kills at every call, one after the other.
"""

import http.client
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline_tests.acceptance.product import COMMAND
from crm_pipeline_tests.acceptance.trading import LISTS, LISTS_ARE_DOWN, Trading, trading
from crm_pipeline_tests.faults.tracing import can_trace, killing
from crm_pipeline_tests.nights import night

CALLS = (
    "pwrite64", "write", "fsync", "fdatasync", "rename", "unlink", "connect", "sendto", "recvfrom",
)  # fmt: skip
SIGKILLED = (-9, 137)
Point = tuple[str, int]


@pytest.fixture
def kills(request: pytest.FixtureRequest, tmp_path: Path) -> int:
    if not can_trace(tmp_path):
        pytest.skip("strace is not installed, or may not trace here")
    return int(request.config.getoption("--kills"))


def spread(points: list[Point], count: int) -> Iterator[Point]:
    """Give about so many of the points, some of each call, or all of them."""
    for call in CALLS:
        of_call = [each for each in points if each[0] == call]
        few = min(len(of_call), max(1, count // len(CALLS)))
        yield from (of_call[(2 * each + 1) * len(of_call) // (2 * few)] for each in range(few))


def points_in(trace: Path) -> list[Point]:
    """Return each call with its number, as strace counts: in each thread from one."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in trace.read_text().splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            counts[found[1], found[2]] += 1
    most: Counter[str] = Counter()
    for (_, call), count in counts.items():
        most[call] = max(most[call], count)
    return [(call, number + 1) for call in CALLS for number in range(most[call])]


def run_traced(shop: Trading, words: list[str], *options: str) -> int:
    """Run a command with strace around it; return its code."""
    return subprocess.run(
        ["strace", "-f", "-e", f"trace={','.join(CALLS)}", *options,
         *COMMAND, *words],
        env=shop.product.environment, cwd=shop.product.folder, capture_output=True,
        timeout=110, check=False,
    ).returncode  # fmt: skip


class Rehearsal:
    """A shop with something of everything to do, made anew as often as it is killed."""

    def __init__(self, work: str, folder: Path) -> None:
        self._work = work
        self._folder = folder
        self._number = 0

    def shops(self) -> Iterator[Trading]:
        """Give one shop after the other, each in the same state."""
        while True:
            self._number += 1
            folder = self._folder / str(self._number)
            folder.mkdir()
            with trading(folder, customers=6, payments=6) as shop:
                self._prepare(shop)
                yield shop
            shutil.rmtree(folder)

    def _prepare(self, shop: Trading) -> None:
        organisation = shop.organisation.id
        people = [each["id"] for each in shop.loke.customers(organisation)]
        shop.loke.add_members(organisation, next(iter(LISTS)), people[:3])
        if self._work in ("sync", "erase"):
            shop.sync()
            shop.loke.update_customer(organisation, people[0], {"firstName": "Anew"})
        sold = shop.loke.complete_payment(organisation, customer=people[1], total=1_250)
        shop.clock.later(5)
        shop.loke.refund(organisation, sold["id"])
        shop.clock.later(5)
        if self._work == "apply":
            for command, code in (("pull", 0), ("plan", 2)):  # 2: there are changes to send
                assert shop.product.run_here(command, "--org", shop.slug).code == code

    def words(self, shop: Trading) -> list[str]:
        """Return the command that is killed."""
        words = [self._work, "--org", shop.slug]
        return (
            [*words, "--subject", self.subject(shop), "--yes"] if self._work == "erase" else words
        )

    def subject(self, shop: Trading) -> str:
        """Return the key of who is erased."""
        return f"loke:{shop.loke.customers(shop.organisation.id)[2]['id']}"

    def prove_healed(self, shop: Trading) -> None:
        """Go on without a person; the CRM is right, and then nothing is written any more."""
        left = self.subject(shop) if self._work == "erase" else None
        if left is not None:
            answer = shop.product.run_here("erase", "--org", shop.slug, "--subject", left, "--yes")
            assert answer.code in (0, 65), answer.err  # 65: the killed one was complete
            assert len(list((shop.product.folder / "home" / "receipts").iterdir())) == 1
        shop.sync(is_process=True)
        assert [each for each in shop.wrong() if left is None or left not in each] == []
        shop.crm.requests.clear()
        shop.sync("--full")
        assert shop.writes() == 0


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("work", list(night("pull", "apply", "sync", "erase")))
def test_a_command_that_is_killed_at_a_system_call_is_healed_by_the_next(
    work: str, tmp_path: Path, kills: int
) -> None:
    rehearsal = Rehearsal(work, tmp_path)
    shops = rehearsal.shops()
    trace, shop = tmp_path / "trace", next(shops)
    assert run_traced(shop, rehearsal.words(shop), "-o", str(trace)) == 0
    points = points_in(trace)
    rehearsal.prove_healed(shop)
    tried = killed = 0
    for call, number in spread(points, kills):
        shop = next(shops)
        code = run_traced(
            shop, rehearsal.words(shop), "-o", "/dev/null",
            "-e", f"inject={call}:signal=KILL:when={number}",
        )  # fmt: skip
        assert code in (0, *SIGKILLED), (call, number, code)
        tried, killed = tried + 1, killed + (code != 0)
        rehearsal.prove_healed(shop)
    shops.close()
    assert killed > tried // 2


@pytest.mark.slow
@pytest.mark.usefixtures("kills")
@pytest.mark.parametrize(
    ("call", "most"), list(night(("pwrite64", 4), ("fdatasync", 1), ("read", 3), ("write", 3)))
)
def test_a_receiver_that_is_killed_at_a_system_call_keeps_what_it_acknowledged(
    call: str, most: int, tmp_path: Path
) -> None:
    with trading(tmp_path) as shop:
        shop.keep_webhooks()
        again = 0
        for number in range(1, most + 1):
            shop.loke.create_customer(shop.organisation.id, email=f"{number}@example.com")
            shop.clock.later(5)
            body = shop.kept_webhooks()[-1]
            if not is_taken(shop, body, call, number):
                again += 1
                with shop.product.receiver() as receiver:
                    shop.deliver(receiver, body)
        shop.loke.faults.add(LISTS_ARE_DOWN)  # nothing but webhooks can bring anybody
        shop.sync(codes=(75,))
        assert shop.wrong() == []
        assert again


def is_taken(shop: Trading, body: bytes, call: str, number: int) -> bool:
    """Whether a receiver that is killed then has acknowledged a webhook."""
    with shop.product.receiver() as receiver:
        try:
            with killing(call, number, receiver.process.pid):
                shop.deliver(receiver, body)
        except (OSError, http.client.HTTPException):
            return False
    return True
