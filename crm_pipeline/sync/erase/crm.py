"""One person in the CRMs: erased as far as each of them can, and what is left to the vendor."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from crm_pipeline.core.ports import ErasingApi
from crm_pipeline.core.subject import Subject
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.account import require_same_account
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding
from crm_pipeline.sync.workspace import Workspace

#: Calls that erasing one contact costs, at most in a quiet CRM.
_CALLS = 6


def crm_steps(
    ws: Workspace, organisation: OrganisationBinding, subject: Subject
) -> Mapping[str, Callable[[], dict[str, int]]]:
    """Return what has to be done in each CRM that holds, or may hold, the person."""
    return {
        name: _step(ws, organisation, name, subject)
        for name in sorted({*organisation.destinations, *subject.crm_ids})
    }


def _step(
    ws: Workspace, organisation: OrganisationBinding, name: str, subject: Subject
) -> Callable[[], dict[str, int]]:
    def run() -> dict[str, int]:
        binding = organisation.destinations.get(name)
        held = len(subject.crm_ids.get(name, ()))
        if binding is None:
            return {"left_to_vendor": held}
        return _erase_in(ws, organisation.slug, binding, subject)

    return run


def _erase_in(
    ws: Workspace, slug: str, binding: DestinationBinding, subject: Subject
) -> dict[str, int]:
    """Erase every contact that may be the person's; count them by what became of each.

    A create of before, whose outcome nobody knows, may have made a contact: so each key is looked
    up. Raises TryLaterError when the CRM does not answer, DataError when it does not obey.
    """
    name = binding.spec.name
    seconds, owner = ws.waits.lease_seconds, this_process()
    with ws.ledger.leases.hold(f"apply:{slug}:{name}", owner, seconds):
        require_same_account(ws, slug, binding)
        _wait_until_settled(ws, slug, name)
        with closing(binding.connect()) as api:
            if not isinstance(api, ErasingApi):
                purchases = subject.objects.get("purchase", frozenset())
                held = ws.ledger.erasing.contacts(slug, "purchase", purchases).get(name, {})
                return {"left_to_vendor": len(held)}
            counts = {"erased": 0, "absent": 0}
            for key, crm_id in _contacts(subject, name):
                _pay(ws, binding)
                counts["erased" if api.erase(key, crm_id) else "absent"] += 1
    return counts


def _contacts(subject: Subject, name: str) -> Iterator[tuple[str, str | None]]:
    known = subject.crm_ids.get(name, {})
    for key in sorted(subject.keys):
        yield key, known.get(key)


def _wait_until_settled(ws: Workspace, slug: str, name: str) -> None:
    """Wait for writes on their way: a CRM may show its own write late (``FAULTS.md`` D04)."""
    if ws.ledger.outbox.unfinished(slug, name):
        time.sleep(ws.waits.settle_seconds)


def _pay(ws: Workspace, binding: DestinationBinding) -> None:
    rate = binding.plan.limits.calls_per_second
    seconds = ws.ledger.budgets.lease(binding.account, _CALLS, rate)
    if seconds > 0:
        time.sleep(seconds)
