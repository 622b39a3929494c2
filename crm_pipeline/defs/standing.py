"""Where organisations stand, as the ledger knows it: what failed, what waits, when to try again."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from crm_pipeline.defs.bindings import reads
from crm_pipeline.defs.readings import every_name
from crm_pipeline.store.ledger import OrganisationStatus
from crm_pipeline.wiring import Runtime

#: How long a failed organisation is left alone when a repeat may help by itself, and when a
#: person has to act first. Who acted starts `sweep_job` with `which: FAILED` and need not wait.
SHORT_REST = dt.timedelta(minutes=5)
LONG_REST = dt.timedelta(hours=1)
#: Codes of failures that pass by themselves.
PASSING = frozenset({"try_later", "unreachable", "answer_lost", "throttled", "plan_stale"})
#: Not a failure of the organisation: another process was at work on it.
BUSY = "lease_held"

Statuses = Mapping[str, OrganisationStatus]


def has_failed(status: OrganisationStatus) -> bool:
    """Whether the newest run of an organisation failed."""
    return status.failed_at is not None and status.failure_code != BUSY


def failed_slugs(runtime: Runtime, slugs: list[str]) -> list[str]:
    """Return those organisations whose newest run failed, in order."""
    statuses = runtime.ledger.organisations.status_all(slugs)
    return [slug for slug in slugs if has_failed(statuses[slug])]


def rests(status: OrganisationStatus, now: dt.datetime) -> bool:
    """Whether an organisation failed so recently that it is left alone for now."""
    rest = SHORT_REST if status.failure_code in PASSING else LONG_REST
    return _failed_since(status, now - rest)


def rests_shortly(status: OrganisationStatus, now: dt.datetime) -> bool:
    """Whether an organisation failed a moment ago, whatever the failure was."""
    return _failed_since(status, now - SHORT_REST)


def _failed_since(status: OrganisationStatus, moment: dt.datetime) -> bool:
    return has_failed(status) and status.failed_at is not None and status.failed_at > moment


def unfinished_version(status: OrganisationStatus) -> str:
    """Name what an earlier run left to do, or return nothing.

    The time of the failure is part of it, so that each rest that is over asks for one run; so is
    which sync broke off, so that each that is killed is made good by another.
    """
    if status.failed_at is None and not status.unknown and not status.broken_off:
        return ""
    failed_at = status.failed_at.isoformat() if status.failed_at else ""
    return f"unfinished:{failed_at}:{status.unknown}:{status.outbox_pending}:{status.broken_off}"


def last_scans(runtime: Runtime, slugs: Sequence[str]) -> dict[str, dt.datetime | None]:
    """Return when each organisation was last scanned as a whole, or failed at trying.

    The oldest of its datasets counts; None when one was never scanned and nothing failed.
    """
    return last_readings(runtime, slugs, every_name())


def last_readings(
    runtime: Runtime, slugs: Sequence[str], datasets: Collection[str]
) -> dict[str, dt.datetime | None]:
    """Return when each organisation's datasets were last read whole, or it failed at trying.

    Of the datasets that an organisation reads, the one that was read longest ago counts.
    """
    statuses = runtime.ledger.organisations.status_all(slugs)
    marks = {name: runtime.ledger.watermarks.get_all(*name.split("/", 1)) for name in datasets}
    found: dict[str, dt.datetime | None] = {}
    for slug in slugs:
        binding = runtime.organisations[slug]
        read = [marks[name].get(slug) for name in datasets if reads(binding, *name.split("/", 1))]
        times = [mark.swept_at for mark in read if mark is not None and mark.swept_at is not None]
        oldest = min(times) if times and len(times) == len(read) else None
        failed = statuses[slug].failed_at if has_failed(statuses[slug]) else None
        found[slug] = max((time for time in (oldest, failed) if time is not None), default=None)
    return found
