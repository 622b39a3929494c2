"""Each organisation by itself: one that fails does not fail the others.

Here: the loop over a run's partitions and what Dagster is told of it. Those that succeeded are
materialised, the failed ones are named, and the step ends red. Not here: the work itself.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import dagster as dg

from crm_pipeline.defs.failures import Trouble, failure_of_many, trouble_of
from crm_pipeline.defs.metadata import Metadata
from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.run import require_active
from crm_pipeline.wiring import Runtime

#: One stage of one organisation: does the work, returns what an analyst wants to know of it.
Stage = Callable[[OrganisationBinding], Metadata]


Answer = TypeVar("Answer")
#: The answer for an organisation for which there is nothing to do, else None.
Idle = Callable[[OrganisationBinding], Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(Generic[Answer]):
    """What a piece of work came to, by organisation."""

    done: Mapping[str, Answer]
    troubles: tuple[Trouble, ...] = ()


def work_through(
    runtime: Runtime,
    slugs: Iterable[str],
    work: Callable[[OrganisationBinding], Answer],
    *,
    idle: Idle[Answer] = lambda _: None,
    is_alone: bool = True,
) -> Results[Answer]:
    """Do some work for each organisation; a failure is kept, and told to the ledger.

    ``is_alone`` holds the lease that every sync of the organisation takes, so that a sweep and
    a run by hand do not work on it at once. Whoever is ``idle`` needs neither work nor lease.
    """
    done: dict[str, Answer] = {}
    troubles: list[Trouble] = []
    for slug in slugs:
        try:
            binding = runtime.organisation(slug)
            require_active(runtime.workspace, binding)
            answer = idle(binding)
            if answer is None:
                with _lease(runtime, slug) if is_alone else nullcontext():
                    answer = work(binding)
            done[slug] = answer
        except Exception as error:  # noqa: BLE001 - one organisation must not fail the others
            troubles.append(trouble_of(slug, error))
            _tell(runtime, troubles[-1])
    return Results(done=done, troubles=tuple(troubles))


def materialise_each(
    context: dg.AssetExecutionContext, runtime: Runtime, stage: Stage, idle: Idle[Metadata]
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[None]]:
    """Do one stage for each organisation of the run, as a partitioned asset."""
    results = work_through(runtime, context.partition_keys, partial(_timed, stage), idle=idle)
    yield from materialised(context, results)
    yield dg.MaterializeResult()


def materialised(
    context: dg.AssetExecutionContext, results: Results[Metadata]
) -> Iterator[dg.AssetMaterialization]:
    """Attach each organisation's metadata to its partition.

    When some failed, those that succeeded are materialised here, one by one, because the output
    of a failed step materialises nothing. Raises ``dg.Failure`` naming the failed ones.
    """
    key = context.assets_def.key
    if results.troubles:
        for slug, metadata in results.done.items():
            yield dg.AssetMaterialization(key, partition=slug, metadata=metadata)
        total = len(results.done) + len(results.troubles)
        raise failure_of_many(results.troubles, total=total)
    for slug, metadata in results.done.items():
        context.add_asset_metadata(metadata, asset_key=key, partition_key=slug)


def _timed(stage: Stage, organisation: OrganisationBinding) -> Metadata:
    started = time.monotonic()
    metadata = stage(organisation)
    return {"duration_seconds": round(time.monotonic() - started, 3), **metadata}


def _lease(runtime: Runtime, slug: str) -> AbstractContextManager[object]:
    ws = runtime.workspace
    return ws.ledger.leases.hold(f"sync:{slug}", this_process(), ws.waits.lease_seconds)


def _tell(runtime: Runtime, trouble: Trouble) -> None:
    """Write a failure down for ``status`` and for "all that failed".

    That another process is at work on the organisation is none.
    """
    if trouble.organisation in runtime.organisations and trouble.code != LeaseHeldError.code:
        runtime.ledger.organisations.record_failure(
            trouble.organisation, trouble.code, trouble.message
        )
