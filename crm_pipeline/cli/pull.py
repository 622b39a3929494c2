"""``crm-pipeline pull``: land what the sources say and work out what the CRM should hold."""

import typer

from crm_pipeline.cli.options import Datasets, Full, Json, MaybeSource, Organisation, examples

EXAMPLES = examples(
    "pull --org harbour-coffee",
    "pull --org harbour-coffee --dataset loke/list_members",
    "pull --org harbour-coffee --full",
)


def pull(
    org: Organisation,
    *,
    source: MaybeSource = None,
    dataset: Datasets = None,
    full: Full = False,
    as_json: Json = False,
) -> None:
    """Pull one organisation's sources, every dataset, and drain its inbox.

    Nothing is sent to the CRM; `plan` comes next.
    """
    from crm_pipeline.cli.choosing import check_datasets, chosen, chosen_datasets
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.reports import (
        exit_code_of_pulls,
        pulls_json,
        resolved_json,
        show_pulls,
    )
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.store.ledger import this_process
    from crm_pipeline.sync.drain import drain
    from crm_pipeline.sync.resolve import resolvers
    from crm_pipeline.sync.run import SyncReport, pull_source, require_active

    screen = Screen(is_json=as_json)
    report = SyncReport(organisation=org)
    with ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        progress.begin(org)
        organisation = runtime.organisation(org)
        ws = runtime.workspace
        require_active(ws, organisation)
        check_datasets(organisation, dataset)
        with ws.ledger.leases.hold(f"sync:{org}", this_process(), ws.waits.lease_seconds):
            for binding in chosen("source", organisation.sources, source).values():
                wanted = chosen_datasets(binding, dataset)
                pull_source(ws, org, binding, report, wanted, full)
            report.drained = drain(ws, organisation)
            for name, resolve in resolvers(organisation).items():
                report.resolved[name] = resolve(ws, is_full=full)
    show_pulls(screen, report)
    code = exit_code_of_pulls(report)
    screen.line(f"Next: `crm-pipeline plan --org {org}`.")
    screen.result(
        {
            "organisation": org,
            "pulls": pulls_json(report),
            "resolved": resolved_json(report),
            "exit_code": code,
        }
    )
    raise typer.Exit(code)
