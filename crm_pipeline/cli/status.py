"""``crm-pipeline status``: where every organisation stands. Reads the ledger only."""

from typing import TYPE_CHECKING, Any

from crm_pipeline.cli.options import Json, MaybeOrganisation, examples

if TYPE_CHECKING:
    from crm_pipeline.settings import LoadedOrganisations

EXAMPLES = examples("status", "status --org harbour-coffee", "status --json")


def status(*, org: MaybeOrganisation = None, as_json: Json = False) -> None:
    """Show what is pending, unknown, rejected, and how far each organisation is."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.orgs import show_problems
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.cli.standing import COLUMNS, standing_json, standing_row

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        loaded = runtime.loaded
        if org is not None:
            loaded.require(org)
        slugs = sorted(loaded.organisations) if org is None else [org]
        paused = runtime.paused()
        states = runtime.ledger.organisations.status_all(slugs)
        documents: dict[str, Any] = {
            slug: standing_json(states[slug], is_paused=slug in paused) for slug in slugs
        }
    rows = [standing_row(states[slug], is_paused=slug in paused) for slug in slugs]
    if rows:
        screen.table("", COLUMNS, rows)
    elif not loaded.broken:
        screen.line("No organisation yet. Next: `crm-pipeline orgs add`, or `crm-pipeline demo`.")
    show_problems(loaded)
    screen.result({"organisations": documents, "broken": _broken(loaded)})


def _broken(loaded: "LoadedOrganisations") -> list[dict[str, str | int]]:
    return [problem.as_json() for problem in loaded.problems]
