"""Guards: rules that stop a plan which is too large or too strange to apply unseen.

Pure: figures in, verdicts out. A guarded plan can still be applied, by a person who approves
exactly its digest. Source of the rules: octoDNS' ``UnsafePlan`` limits; consent guard of our own.
"""

from dataclasses import dataclass

from crm_pipeline.core.records import GuardVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRules:
    """Limits of one destination of one organisation.

    Shares are 0 to 1 of the objects known to be in the CRM, and count only when at least
    ``floor`` objects change, so that a small organisation is not stopped by three people.
    ``None`` switches a limit off. Creates are unlimited by default: a first load is all creates.
    """

    max_creates: int | None = None
    max_updates: int | None = None
    max_update_share: float | None = 0.5
    max_archives: int | None = 100
    max_archive_share: float | None = 0.05
    max_consent_widened: int | None = 1_000
    max_consent_widened_share: float | None = 0.2
    min_source_share: float | None = 0.8
    floor: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFigures:
    """What the guards look at.

    ``known``: objects the CRM has acknowledged. ``desired``: objects that should exist; None in
    an incremental plan, which does not see them all. ``consent_widened``: contacts that would
    become mailable and were not.
    """

    creates: int
    updates: int
    archives: int
    known: int
    desired: int | None
    consent_widened: int


def judge(figures: PlanFigures, rules: GuardRules) -> tuple[GuardVerdict, ...]:
    """Return one verdict for each guard, passed ones included, in a fixed order."""
    return (
        _limit("creates", figures.creates, rules.max_creates),
        _limit("updates", figures.updates, rules.max_updates),
        _share(
            "update_share",
            figures.updates,
            figures.known,
            rules.max_update_share,
            rules.floor,
        ),
        _limit("archives", figures.archives, rules.max_archives),
        _share(
            "archive_share",
            figures.archives,
            figures.known,
            rules.max_archive_share,
            rules.floor,
        ),
        _limit("consent_widened", figures.consent_widened, rules.max_consent_widened),
        _share(
            "consent_widened_share",
            figures.consent_widened,
            figures.known,
            rules.max_consent_widened_share,
            rules.floor,
        ),
        _source(figures, rules),
    )


def _verdict(guard: str, message: str, *, passed: bool) -> GuardVerdict:
    way_out = "" if passed else " Look at the plan; approve it by its digest if it is right."
    return GuardVerdict(guard=guard, passed=passed, message=message + way_out)


def _limit(guard: str, count: int, limit: int | None) -> GuardVerdict:
    if limit is None:
        return _verdict(guard, f"{count:,} (no limit).", passed=True)
    return _verdict(guard, f"{count:,} of at most {limit:,}.", passed=count <= limit)


def _share(guard: str, count: int, known: int, limit: float | None, floor: int) -> GuardVerdict:
    if limit is None or known == 0 or count < floor:
        return _verdict(guard, f"{count:,} of {known:,} known objects (not limited).", passed=True)
    share = count / known
    message = f"{share:.1%} of {known:,} known objects, at most {limit:.1%}."
    return _verdict(guard, message, passed=share <= limit)


def _source(figures: PlanFigures, rules: GuardRules) -> GuardVerdict:
    if figures.desired is None or figures.known == 0 or rules.min_source_share is None:
        return _verdict("source", "not judged: an incremental or a first plan.", passed=True)
    share = figures.desired / figures.known
    message = f"{figures.desired:,} desired objects, {figures.known:,} known ({share:.1%})."
    passed = figures.desired > 0 and share >= rules.min_source_share
    return _verdict("source", message, passed=passed)
