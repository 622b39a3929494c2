"""The books of an apply: every intent before its call, every receipt after it.

An intent is durable before the first byte of its call leaves, so that a killed process leaves a
trace of everything that may have happened. Receipts are written in groups, at least every second.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

from crm_pipeline.core.consent import decide
from crm_pipeline.core.fingerprint import canonical_json
from crm_pipeline.core.media import media_digests
from crm_pipeline.core.records import (
    PROVISIONAL,
    AppliedObject,
    Change,
    ConsentRecord,
    OutcomeKind,
    Reject,
    WriteResult,
)
from crm_pipeline.store.ledger import Intent, Lease, Receipt
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.workspace import Workspace

GROUP_ROWS = 200
#: The reason of a change that only tries again what the CRM refused a moment ago.
SECOND_CHANCE = "second_chance"
GROUP_SECONDS = 1.0
CHANNELS: tuple[Literal["email", "sms"], ...] = ("email", "sms")


class Ledgering:
    """Writes intents and receipts of one plan of one organisation. Not thread-safe.

    ``settled`` counts the changes that have an outcome; ``reject_reasons`` counts what was
    rejected by this process, by reason.
    """

    def __init__(
        self,
        ws: Workspace,
        organisation: str,
        binding: DestinationBinding,
        lease: Lease,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.organisation = organisation
        self.settled = 0
        self.reject_reasons: Counter[str] = Counter()
        self._ledger = ws.ledger
        self._destination = binding.spec.name
        self._lease = lease
        self._monotonic = monotonic
        self._receipts: list[Receipt] = []
        self._rejects: list[Reject] = []
        self._oldest = 0.0
        self._cleared: list[tuple[str, str]] = []
        self._archived: list[str] = []
        self._clock = ws.clock

    @cached_property
    def _set_aside(self) -> frozenset[tuple[str, str]]:
        """The objects whose last write was refused, by kind and key."""
        return self._ledger.rejects.names(self.organisation, self._destination, "apply")

    def renew_lease(self) -> None:
        """Say that this process is still alive and at work."""
        self._lease.renew()

    def passed_over(self, count: int) -> None:
        """Count changes that an earlier process settled."""
        self.settled += count

    def begin(self, digest: str, changes: Sequence[Change]) -> None:
        """Write down, durably, that these changes are about to be sent."""
        intents = [
            Intent(
                object_kind=change.object_kind,
                key=change.key,
                plan_digest=digest,
                seq=change.seq,
                kind=change.kind,
                fingerprint=change.fingerprint,
            )
            for change in changes
        ]
        self._ledger.outbox.begin(self.organisation, self._destination, intents, self._lease)

    def settle(self, digest: str, change: Change, result: WriteResult, *, attempts: int) -> None:
        """Note a write that is known to have been done or refused."""
        if result.status == "rejected":
            self.reject_reasons[result.reason] += 1
            self._rejects.append(_reject(digest, change, result))
        elif (change.object_kind, change.key) in self._set_aside:
            self._cleared.append((change.object_kind, change.key))
        if change.kind == "archive" and result.status == "acked":
            self._archived.append(change.key)
        outcome: OutcomeKind = "applied" if result.status == "acked" else "rejected"
        withheld = tuple(dict.fromkeys((*change.withheld, *result.withheld)))
        crm_id = result.crm_id or change.crm_id
        if has_second_chance(change, result):
            # Until that is settled the object differs from what is desired: a kill loses no medium.
            change = replace(change, fingerprint=PROVISIONAL)
        self._note(_receipt(digest, change, outcome, crm_id, withheld, result.reason, attempts))

    def close(
        self, digest: str, change: Change, outcome: OutcomeKind, applied: AppliedObject | None
    ) -> None:
        """Note how a change ended without a call."""
        crm_id = change.crm_id or (applied.crm_id if applied else None)
        self._note(_receipt(digest, change, outcome, crm_id, change.withheld, outcome, 0))

    def mark_unknown(
        self, digest: str, change: Change, result: WriteResult, *, attempts: int
    ) -> None:
        """Note a write that may or may not have been done."""
        self._note(
            _receipt(digest, change, None, change.crm_id, change.withheld, result.reason, attempts)
        )

    def release(self, digest: str, changes: Sequence[Change]) -> None:
        """Make changes pending again that were surely not done."""
        if changes:
            self.flush()
            keys = [(change.object_kind, change.key) for change in changes]
            self._ledger.outbox.release(
                self.organisation, self._destination, digest, keys, self._lease
            )

    def flush_if_due(self) -> None:
        """Write the receipts down when there are many or the oldest has waited long enough."""
        has_waited = self._monotonic() - self._oldest >= GROUP_SECONDS
        if len(self._receipts) >= GROUP_ROWS or (self._receipts and has_waited):
            self.flush()

    def flush(self) -> None:
        """Write every receipt down, what was rejected, and what no longer is."""
        receipts, self._receipts = self._receipts, []
        rejects, self._rejects = self._rejects, []
        cleared, self._cleared = self._cleared, []
        archived, self._archived = self._archived, []
        if archived:
            self._refuse(archived)
        if rejects:
            self._ledger.rejects.add(self.organisation, self._destination, rejects)
        if receipts:
            self._ledger.outbox.settle(self.organisation, self._destination, receipts, self._lease)
        for kind in sorted({kind for kind, _ in cleared}):
            keys = [key for its_kind, key in cleared if its_kind == kind]
            self._ledger.rejects.clear(self.organisation, self._destination, "apply", keys, kind)

    def _refuse(self, keys: Sequence[str]) -> None:
        """Record that archived people are opted out: a yes of before does not bring them back.

        Written before the receipts: an archive is not known as done without it (ADR 6).
        """
        now = self._clock()
        past = self._ledger.consents.of(self.organisation, keys)
        refusals = []
        for key in keys:
            for channel in CHANNELS:
                said = [each for each in past.get(key, ()) if each.channel == channel]
                if decide(said):
                    granted = [each.at for each in said if each.is_granted and each.at is not None]
                    refusals.append(
                        ConsentRecord(
                            key=key,
                            channel=channel,
                            is_granted=False,
                            at=max([now, *granted]),
                            seen_at=now,
                            origin=self._destination,
                        )
                    )
        if refusals:
            self._ledger.consents.append(self.organisation, refusals)

    def _note(self, receipt: Receipt) -> None:
        if not self._receipts:
            self._oldest = self._monotonic()
        self._receipts.append(receipt)
        is_counted = receipt.outcome is not None and receipt.change.reason != SECOND_CHANCE
        self.settled += is_counted


def has_second_chance(change: Change, result: WriteResult) -> bool:
    """Whether a write left media out that the CRM refused and that are tried again at the end."""
    is_first = result.status == "acked" and change.reason != SECOND_CHANCE
    return is_first and not set(result.withheld) <= set(change.withheld)


def _receipt(
    digest: str,
    change: Change,
    outcome: OutcomeKind | None,
    crm_id: str | None,
    withheld: tuple[str, ...],
    reason: str,
    attempts: int,
) -> Receipt:
    media = media_digests(change.after)
    return Receipt(
        change=change,
        plan_digest=digest,
        outcome=outcome,
        crm_id=crm_id,
        withheld=withheld,
        reason=reason,
        attempts=attempts,
        email_digest=media.get("email"),
        phone_digest=media.get("phone"),
    )


def _reject(digest: str, change: Change, result: WriteResult) -> Reject:
    return Reject(
        stage="apply",
        dataset=change.object_kind,
        key=change.key,
        reason=result.reason,
        detail=result.detail,
        payload=canonical_json(change.after),
        plan_digest=digest,
    )
