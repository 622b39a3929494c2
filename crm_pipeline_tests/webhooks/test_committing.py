"""The group commit: who is told what when the disk is slow, full or gone."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from crm_pipeline.errors import BugError, ConfigurationError, LedgerDamagedError, TryLaterError
from crm_pipeline.store.ledger import Appended, Received
from crm_pipeline.webhooks.committing import Committer
from crm_pipeline.webhooks.refusals import Refused
from crm_pipeline_tests.store.ledger.samples import NOW


def received(name):
    return Received(
        organisation="acme",
        source="loke",
        event="customer.updated",
        entity_id=name,
        dedup=name,
        body=b"{}",
        received_at=NOW,
    )


class Disk:
    """Stores groups; waits while it is held, fails as it is told."""

    def __init__(self):
        self.groups = []
        self.reports = []
        self.error = None
        self.poison = None
        self.is_entered = False
        self.free = threading.Event()
        self.free.set()

    def append(self, rows):
        self.is_entered = True
        self.free.wait(10)
        names = [row.entity_id for row in rows]
        self.groups.append(names)
        if self.poison in names:
            raise BugError("refused")
        if self.error is not None:
            raise self.error
        return [Appended(number, is_new=True) for number, _ in enumerate(names)]

    def report(self, events, error):
        self.reports.append((events, error and error.code))


@asynccontextmanager
async def committing(disk, **options):
    committer = Committer(disk.append, disk.report, **options)
    committer.start()
    try:
        yield committer
    finally:
        disk.free.set()
        await committer.stop()


async def outcomes(committer, names):
    async def one(name):
        try:
            return (await committer.store(received(name))).is_new
        except Refused as refused:
            return refused.status, refused.cause

    return await asyncio.gather(*(one(name) for name in names))


async def until_writing(disk):
    """Wait until the writer waits for the disk."""
    while not disk.is_entered:
        await asyncio.sleep(0)


async def until_queued(committer, number):
    while committer._queue.qsize() < number:
        await asyncio.sleep(0)


def test_what_comes_while_the_disk_works_is_stored_in_one_transaction():
    async def scenario():
        disk = Disk()
        disk.free.clear()
        async with committing(disk) as committer:
            first = asyncio.create_task(outcomes(committer, ["a"]))
            await until_writing(disk)
            others = asyncio.create_task(outcomes(committer, [str(each) for each in range(300)]))
            await until_queued(committer, 300)
            disk.free.set()
            assert await first == [True]
            assert await others == [True] * 300
        return disk

    disk = asyncio.run(scenario())
    assert [len(group) for group in disk.groups] == [1, 256, 44]
    assert disk.reports == [(1, None), (256, None), (44, None)]


@pytest.mark.parametrize(
    "error", [TryLaterError("full"), ConfigurationError("read only"), LedgerDamagedError("bad")]
)
def test_when_the_disk_fails_everybody_is_asked_to_come_again_and_it_goes_on(error):
    async def scenario():
        disk = Disk()
        disk.error = error
        async with committing(disk) as committer:
            assert set(await outcomes(committer, ["a", "b"])) == {(503, "not_stored")}
            disk.error = None
            assert await outcomes(committer, ["a"]) == [True]
        return disk

    disk = asyncio.run(scenario())
    assert disk.reports[-1] == (1, None)
    assert disk.reports[0][1] == error.code


def test_one_event_that_cannot_be_stored_keeps_no_other_out():
    async def scenario():
        disk = Disk()
        disk.poison = "b"
        disk.free.clear()
        async with committing(disk) as committer:
            first = asyncio.create_task(outcomes(committer, ["x"]))
            await until_writing(disk)
            others = asyncio.create_task(outcomes(committer, ["a", "b", "c"]))
            await until_queued(committer, 3)
            disk.free.set()
            await first
            assert await others == [True, (503, "not_stored"), True]

    asyncio.run(scenario())


def test_the_writer_outlives_what_nobody_thought_of():
    async def scenario():
        disk = Disk()
        disk.error = ZeroDivisionError()
        async with committing(disk) as committer:
            assert await outcomes(committer, ["a"]) == [(503, "bug")]
            disk.error = None
            assert await outcomes(committer, ["a"]) == [True]

    asyncio.run(scenario())


def test_when_too_many_wait_the_next_is_asked_to_come_again():
    async def scenario():
        disk = Disk()
        disk.free.clear()
        async with committing(disk, max_waiting=2) as committer:
            first = asyncio.create_task(outcomes(committer, ["a"]))
            await until_writing(disk)
            others = asyncio.create_task(outcomes(committer, ["b", "c", "d"]))
            await until_queued(committer, 2)
            disk.free.set()
            assert await first == [True]
            assert await others == [True, True, (503, "overloaded")]

    asyncio.run(scenario())


def test_nobody_waits_longer_than_patience_and_the_event_is_kept_all_the_same():
    async def scenario():
        disk = Disk()
        disk.free.clear()
        async with committing(disk, patience_seconds=0.05) as committer:
            assert await outcomes(committer, ["a"]) == [(503, "not_stored")]
            disk.free.set()
        return disk

    assert asyncio.run(scenario()).groups == [["a"]]


def test_stopping_stores_what_waits_and_refuses_what_comes_later():
    async def scenario():
        disk = Disk()
        disk.free.clear()
        committer = Committer(disk.append, disk.report)
        assert await outcomes(committer, ["early"]) == [(503, "stopping")]
        committer.start()
        waiting = asyncio.create_task(outcomes(committer, ["a", "b"]))
        await until_writing(disk)
        stopping = asyncio.create_task(committer.stop())
        await asyncio.sleep(0)
        disk.free.set()
        await stopping
        assert await waiting == [True, True]
        assert await outcomes(committer, ["late"]) == [(503, "stopping")]
        await committer.stop()

    asyncio.run(scenario())
