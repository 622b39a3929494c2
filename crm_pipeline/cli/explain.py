"""``crm-pipeline explain``: where each value in the CRM comes from."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import Json, MaybeDestination, examples

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.explain import Explanation, FieldExplained

EXAMPLES = examples(
    "explain harbour-coffee contact loke:01CMR2FT00QD28ZNBTZMAMRKJ5",
    "explain harbour-coffee contact loke:01CMR2FT00QD28ZNBTZMAMRKJ5 email_opt_out --values",
    "explain harbour-coffee purchase 5e0c1c1e-6a44-4e0e-9b3c-0d8f1f6f2a10",
)


def explain(
    org: Annotated[str, typer.Argument(metavar="ORG", help="The organisation's slug.")],
    kind: Annotated[str, typer.Argument(help="contact, membership, purchase, refund or product.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="The source's id, or our key.")],
    only: Annotated[str | None, typer.Argument(metavar="[FIELD]", help="One field only.")] = None,
    *,
    destination: MaybeDestination = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the CRM and the source what they hold now, too.")
    ] = False,
    values: Annotated[
        bool, typer.Option("--values", help="Show values too: personal data on your screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell where the values of one object come from: page, mapping, plan, approval, answer."""
    from crm_pipeline.cli.choosing import one_destination
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.errors import ConfigurationError
    from crm_pipeline.sync.explain import explain as explain_object

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        organisation = runtime.organisation(org)
        binding = organisation.destinations[one_destination(organisation, destination)]
        kinds = [each.name for each in binding.spec.kinds]
        if kind not in kinds:
            raise ConfigurationError(
                f"{binding.spec.title} has no {kind!r} here. It has: {', '.join(kinds)}.",
                not_done="Nothing was looked up.",
            )
        found = explain_object(
            runtime.workspace, organisation, binding, kind, name, only=only, is_live=live
        )
    show(screen, found, with_values=values, is_live=live)
    screen.result(document(found, with_values=values))


def show(screen: "Screen", found: "Explanation", *, with_values: bool, is_live: bool) -> None:
    """Write an explanation for a person."""
    screen.table(f"{found.object_kind} {found.key} in {found.destination}", ["", ""], facts(found))
    for row in found.rows:
        screen.line(
            f"From {row.dataset} {row.id}: {row.origin} at {moment(row.landed_at)}, version"
            f" {moment(row.version_at)}, page {row.page_digest[:12] or 'none'}."
        )
        if row.is_later:
            screen.line("  The version that was sent is not kept any more; this one came later.")
    columns = ["Field", "From", "State"]
    if with_values:
        columns += ["Wrote", "Wanted", *(["Found"] if is_live else [])]
    screen.table("", columns, [field_row(each, with_values, is_live) for each in found.fields])
    for each in found.fields:
        for said in each.consents:
            answer = "yes" if said.is_granted else "no"
            screen.line(f"{each.name}: {said.origin} said {answer} at {moment(said.at)}.")


def facts(found: "Explanation") -> list[list[object]]:
    """Return what is known of the object as a whole."""
    applied, outcome, approval = found.applied, found.outcome, found.approval
    rows: list[list[object]] = [["CRM id", applied.crm_id if applied else "not sent yet"]]
    if applied is not None:
        rows += [
            ["Acknowledged", moment(applied.applied_at)],
            ["Plan", f"{applied.plan_digest[:12]}, made {moment(found.planned_at)}"],
            ["Mapping", found.mapping_version],
            ["Approved by", approval.approved_by if approval else "nobody had to"],
        ]
    if outcome is not None:
        answer = f"{outcome.outcome} {outcome.reason}".strip()
        rows.append(["Answer", f"{outcome.kind}: {answer}, {outcome.attempts} tries"])
    if found.links:
        rows.append(["Is also", ", ".join(found.links)])
    if found.lists:
        rows.append(["In lists now", ", ".join(found.lists)])
    return rows


def field_row(each: "FieldExplained", with_values: bool, is_live: bool) -> list[object]:
    """Return one field's line."""
    state = "withheld" if each.is_withheld else "same"
    if each.wrote != each.wanted:
        state = "pending"
    row: list[object] = [each.name, ", ".join(each.columns), state]
    if with_values:
        row += [each.wrote, each.wanted, *([each.found] if is_live else [])]
    return row


def document(found: "Explanation", *, with_values: bool) -> dict[str, Any]:
    """Return an explanation for ``--json``; values only when asked for."""
    applied, outcome = found.applied, found.outcome
    return {
        "organisation": found.organisation,
        "destination": found.destination,
        "object_kind": found.object_kind,
        "key": found.key,
        "crm_id": applied.crm_id if applied else None,
        "applied_at": applied.applied_at.isoformat() if applied else None,
        "plan_digest": applied.plan_digest if applied else None,
        "mapping_version": found.mapping_version,
        "approved_by": found.approval.approved_by if found.approval else None,
        "outcome": None
        if outcome is None
        else {
            "kind": outcome.kind,
            "outcome": outcome.outcome,
            "reason": outcome.reason,
            "attempts": outcome.attempts,
            "settled_at": outcome.settled_at.isoformat(),
        },
        "links": list(found.links),
        "lists": list(found.lists),
        "rows": [
            {
                "dataset": row.dataset,
                "id": row.id,
                "version_at": None if row.version_at is None else row.version_at.isoformat(),
                "landed_at": row.landed_at.isoformat(),
                "origin": row.origin,
                "page_digest": row.page_digest,
                "is_later": row.is_later,
                "batch": row.batch,
                **({"values": _plain(row.values)} if with_values else {}),
            }
            for row in found.rows
        ],
        "fields": [_field(each, with_values=with_values) for each in found.fields],
    }


def _field(each: "FieldExplained", *, with_values: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": each.name,
        "columns": list(each.columns),
        "is_withheld": each.is_withheld,
        "is_pending": each.wrote != each.wanted,
        "consents": [
            {
                "origin": said.origin,
                "is_granted": said.is_granted,
                "at": None if said.at is None else said.at.isoformat(),
                "seen_at": said.seen_at.isoformat(),
            }
            for said in each.consents
        ],
    }
    if with_values:
        told |= {"wrote": each.wrote, "wanted": each.wanted, "found": each.found}
    return told


def _plain(values: Any) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in values.items()
    }


def moment(at: Any) -> str:
    """Return a time for a person, in UTC."""
    return "unknown" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
