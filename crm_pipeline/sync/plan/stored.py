"""Stored plans: the header in the ledger, the changes in the lake."""

from collections.abc import Collection, Iterator

from crm_pipeline.core.records import Change, PlanHeader
from crm_pipeline.errors import DataError, PlanUnknownError
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan.draft import Identity, digest_of, heading_of
from crm_pipeline.sync.plan.rows import to_changes
from crm_pipeline.sync.workspace import Workspace

#: A digest may be shortened to this many characters when it is typed by a person.
SHORTEST_DIGEST = 8


class PlanForgottenError(DataError):
    """A plan's changes went by retention or with an erased person; its counts are still there."""

    code = "plan_forgotten"


class PlanAlteredError(DataError):
    """The stored changes of a plan are not those that its digest names."""

    code = "plan_altered"


def plan_table(destination: str) -> str:
    """Return the name of the lake table that holds a destination's plans."""
    return f"plan/{destination}"


def load_plan(
    ws: Workspace,
    organisation: str,
    destination: str,
    digest: str | None = None,
    *,
    object_kind: str | None = None,
) -> PlanHeader:
    """Return a stored plan; the newest when ``digest`` is None, of one kind of object or of any.

    A digest may be shortened to its first eight characters or more.
    Raises PlanUnknownError when there is none, or when a short digest fits several.
    """
    newest = ws.ledger.plans.latest(organisation, destination, object_kind)
    if digest is None or (newest and newest.header.digest == digest):
        if newest is None:
            raise PlanUnknownError(
                f"{organisation} has no plan for {destination}.",
                remedy=f"Make one: `crm-pipeline plan --org {organisation}`.",
            )
        return newest.header
    matches = ws.ledger.plans.find(organisation, destination, digest)
    if len(matches) != 1 or len(digest) < SHORTEST_DIGEST:
        raise PlanUnknownError(
            f"{len(matches)} plans of {organisation} for {destination} begin with {digest!r}.",
            not_done="Nothing was applied.",
            remedy=f"List them: `crm-pipeline plan list --org {organisation}`.",
        )
    return matches[0].header


def plans_to_apply(
    ws: Workspace, organisation: str, binding: DestinationBinding, digest: str | None
) -> list[PlanHeader]:
    """Return the plan with a digest, or the newest of each kind in the order of sending.

    Raises PlanUnknownError when there is none at all.
    """
    name = binding.spec.name
    if digest is not None:
        return [load_plan(ws, organisation, name, digest)]
    newest = (ws.ledger.plans.latest(organisation, name, kind) for kind in binding.kinds)
    headers = [stored.header for stored in newest if stored is not None]
    return headers or [load_plan(ws, organisation, name)]


def iter_changes(
    ws: Workspace, header: PlanHeader, *, lane: int | None = None, limit: int | None = None
) -> Iterator[Change]:
    """Give the changes of a plan in the order in which they are sent."""
    if not header.size:
        return
    where = "plan_digest = ?"
    parameters: list[object] = [header.digest]
    if lane is not None:
        where += " AND lane = ?"
        parameters.append(lane)
    reader = ws.lake.scan(
        header.organisation,
        plan_table(header.destination),
        where=where,
        parameters=parameters,
    )
    given = 0
    for batch in reader:
        for change in to_changes(batch):
            if limit is not None and given >= limit:
                return
            yield change
            given += 1


def find_changes(
    ws: Workspace, organisation: str, destination: str, digest: str, keys: Collection[str]
) -> Iterator[Change]:
    """Give the changes of a plan that concern ``keys``."""
    if not keys:
        return
    wanted = list(keys)
    marks = ", ".join("?" for _ in wanted)
    reader = ws.lake.scan(
        organisation,
        plan_table(destination),
        where=f"plan_digest = ? AND key IN ({marks})",
        parameters=[digest, *wanted],
    )
    for batch in reader:
        yield from to_changes(batch)


def require_changes(ws: Workspace, header: PlanHeader, *, not_done: str, least: int = 1) -> None:
    """Raise PlanForgottenError when fewer changes of a plan are kept than are needed."""
    if not header.size or stored_changes(ws, header) >= least:
        return
    raise PlanForgottenError(
        f"The changes of plan {header.digest} of {header.organisation} are not kept any more.",
        not_done=not_done,
        remedy="`retention` in the organisation's file says how long plans are kept; an erasure"
        " takes a person out of each.",
    )


def require_exact(ws: Workspace, header: PlanHeader) -> None:
    """Raise PlanAlteredError unless the stored changes are exactly those that were planned.

    Every change is read and the plan's digest worked out again: some 100,000 changes a second.
    """
    table = plan_table(header.destination)
    with ws.lake.session() as session:
        session.attach("stored", header.organisation, table)
        query = "SELECT * FROM stored WHERE plan_digest = ? ORDER BY kind, key"
        rows = (row for batch in session.sql(query, (header.digest,)) for row in batch.to_pylist())
        digest = digest_of(
            heading_of(
                header.organisation,
                header.destination,
                header.object_kind,
                header.mapping_version,
                header.base,
            ),
            map(Identity.of, rows),
        )
    if digest != header.digest:
        raise PlanAlteredError(
            f"Plan {header.digest[:12]} of {header.organisation} is not stored as it was planned:"
            " somebody wrote to the lake, or another version of crm-pipeline made it.",
            not_done="Nothing was sent: the approval is for what was planned.",
            remedy=f"Make a new plan: `crm-pipeline plan --org {header.organisation}`. If that one"
            f" is refused too, move the lake's folder `{header.organisation}/{table}` away first.",
        )


def stored_changes(ws: Workspace, header: PlanHeader) -> int:
    """Return how many changes of exactly this plan are stored."""
    table = plan_table(header.destination)
    if not ws.lake.exists(header.organisation, table):
        return 0
    reader = ws.lake.scan(
        header.organisation,
        table,
        columns=("seq",),
        where="plan_digest = ?",
        parameters=[header.digest],
    )
    return sum(batch.num_rows for batch in reader)
