"""How the checks judge one organisation: each function says what is wrong with it, or nothing.

Counts and codes only. Not here: the sentence about all of them (``verdicts``), the checks as
Dagster knows them (``checks``).
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.consent import decide
from crm_pipeline.core.ports import DestinationSpec
from crm_pipeline.core.records import Change, PlanHeader
from crm_pipeline.defs.choosing import active_slugs
from crm_pipeline.defs.verdicts import Judged
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.plan import iter_changes
from crm_pipeline.wiring import Runtime

#: Says what is wrong with one organisation, or None.
Judge = Callable[[str], str | None]
#: Whether a check is about an organisation at all.
Concerns = Callable[[OrganisationBinding], bool]

LONGEST_SILENCE = dt.timedelta(hours=25)
#: Changes of a plan that are held against the consent log, from the first.
CHANGES_PROVEN = 20_000
_CHUNK = 500
#: The columns that must not name two of our people in one CRM, each with the field that stays
#: behind when the CRM does not hold it.
_ONCE = (
    ("crm_id", "CRM contact", ""),
    ("email_digest", "e-mail address", "email"),
    ("phone_digest", "phone number", "phone_number"),
)
_CHANNELS = (("email_opt_out", "email"), ("sms_opt_out", "sms"))


def judge_each(
    runtime: Runtime, judge: Judge, concerns: Concerns, only: Collection[str] | None
) -> Judged:
    """Judge every organisation that is neither paused nor broken, or ``only`` some of those."""
    active = [slug for slug in active_slugs(runtime) if concerns(runtime.organisations[slug])]
    slugs = active if only is None else [slug for slug in active if slug in only]
    judged = {slug: judge(slug) for slug in slugs}
    wrong = {slug: why for slug, why in judged.items() if why is not None}
    return Judged(offenders=wrong, total=len(slugs), is_part=len(slugs) < len(active))


def silence(runtime: Runtime, source: str, dataset: str) -> Judge:
    """Judge how long ago a dataset was last read to its end."""
    watermarks = runtime.ledger.watermarks.get_all(source, dataset)
    now = runtime.clock()

    def judge(slug: str) -> str | None:
        watermark = watermarks.get(slug)
        if watermark is None:
            return "Never read to its end."
        silent = now - watermark.committed_at
        if silent <= LONGEST_SILENCE:
            return None
        return f"Last read to its end {silent // dt.timedelta(hours=1):,} hours ago."

    return judge


def guarded(runtime: Runtime, destination: str) -> Judge:
    """Judge the newest plan of each kind against its guards; an approved plan passes."""

    def judge(slug: str) -> str | None:
        found = [
            f"{newest.header.object_kind}: {verdict.guard}: {verdict.message}"
            for newest in runtime.ledger.plans.newest(slug, destination)
            if newest.status != "applied" and not is_approved(runtime, newest.header)
            for verdict in newest.header.guards
            if not verdict.passed
        ]
        return "; ".join(found) or None

    return judge


def is_approved(runtime: Runtime, header: PlanHeader) -> bool:
    """Whether a person's approval of exactly this plan is in force."""
    approval = runtime.ledger.plans.approval(header.organisation, header.destination, header.digest)
    return approval is not None and approval.expires_at > runtime.clock()


def balance(runtime: Runtime, destination: str) -> Judge:
    """Judge whether the newest applied plan of each kind has as many outcomes as changes."""

    def judge(slug: str) -> str | None:
        found = []
        for newest in runtime.ledger.plans.newest(slug, destination):
            digest, size = newest.header.digest, newest.header.size
            settled = sum(runtime.ledger.outbox.outcomes(slug, destination, digest).values())
            if newest.status == "applied" and settled != size:
                found.append(f"{size:,} changes and {settled:,} outcomes in plan {digest[:12]}.")
        return " ".join(found) or None

    return judge


def uniqueness(runtime: Runtime, spec: DestinationSpec) -> Judge:
    """Judge whether two of our people share a contact or a medium in the CRM."""

    def judge(slug: str) -> str | None:
        held = list(runtime.ledger.applied.stream(slug, spec.name, "contact"))
        table = pa.Table.from_batches(held) if held else None
        found = [
            f"{count:,} times the same {name}"
            for column, name, field in _ONCE
            if table is not None and (count := count_doubled(sent(table, column, field)))
        ]
        return "; ".join(found) or None

    return judge


def sent(table: pa.Table, column: str, field: str) -> pa.ChunkedArray:
    """Return a column without the rows whose field was withheld from the CRM."""
    if not field:
        return table.column(column)
    is_withheld = pc.match_substring(table.column("withheld"), f'"{field}"')
    return table.filter(pc.invert(is_withheld)).column(column)


def count_doubled(values: pa.ChunkedArray) -> int:
    """Return how many values repeat an earlier one; nulls and empty texts do not count.

    >>> count_doubled(pa.chunked_array([["a", "b", "a", None, None, ""]]))
    1
    """
    present = values.filter(pc.not_equal(values, ""))
    return len(present) - int(pc.count_distinct(present).as_py())


def consent(runtime: Runtime, spec: DestinationSpec) -> Judge:
    """Judge whether everybody whom the newest plan makes mailable has said yes.

    Reads the consent log again, apart from the code that made the plan.
    """

    def judge(slug: str) -> str | None:
        newest = runtime.ledger.plans.latest(slug, spec.name, "contact")
        if newest is None or newest.header.consent_widened == 0:
            return None
        unproven = count_unproven(runtime, newest.header)
        return f"{unproven:,} people without a proof of consent." if unproven else None

    return judge


def count_unproven(runtime: Runtime, header: PlanHeader) -> int:
    """Return how many (person, channel) pairs a plan opens without a consent that is in force."""
    unproven = 0
    changes = islice(iter_changes(runtime.workspace, header), CHANGES_PROVEN)
    opened = ((change.key, channel) for change in changes for channel in channels_opened(change))
    while part := list(islice(opened, _CHUNK)):
        known = runtime.ledger.consents.of(header.organisation, {key for key, _ in part})
        unproven += sum(
            1
            for key, channel in part
            if not decide(each for each in known.get(key, ()) if each.channel == channel)
        )
    return unproven


def channels_opened(change: Change) -> Iterator[str]:
    """Give the channels that a change opens: off or unknown before, on afterwards."""
    for field, channel in _CHANNELS:
        before = change.before.get(field, True) if change.before is not None else True
        if before is not False and change.after.get(field) is False:
            yield channel
