"""The jobs. Each runs in one process: a process for each step costs more than the work.

Dagster retries none of them: whether a repeat can help is known one layer down.
"""

import dagster as dg

from crm_pipeline.defs.hooks import reset_webhooks
from crm_pipeline.defs.maintenance import compact
from crm_pipeline.defs.mending import retry, undo
from crm_pipeline.defs.operations import approve, clean_old, clean_runs, pause, read_back
from crm_pipeline.defs.readings import CATALOGUES, lists
from crm_pipeline.defs.sweep import sweep

NO_RETRIES = {"dagster/max_retries": "0"}


@dg.job(
    description="Sync a list of organisations, all, or all that failed: pull, resolve, plan,"
    " guard, apply. Each by itself; red when one failed, naming it.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def sweep_job() -> None:
    """Sync organisations."""
    sweep()


@dg.job(
    description="Read what only a whole reading tells (members of lists, LOKE's orders), then"
    " resolve, plan, guard and apply. All organisations that have such, unless they are listed.",
    config={"ops": {"sweep": {"config": {"which": "ALL", "datasets": [*lists()]}}}},
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def lists_job() -> None:
    """Read lists whole."""
    sweep()


@dg.job(
    description="Read catalogues, then resolve, plan, guard and apply products with all else."
    " All organisations that have a catalogue, unless they are listed.",
    config={"ops": {"sweep": {"config": {"which": "ALL", "datasets": [*CATALOGUES]}}}},
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def products_job() -> None:
    """Read catalogues."""
    sweep()


@dg.job(
    description="Subscribe to webhooks anew, with the present address and secret: after one of"
    " them, or the datasets, changed. Safe to repeat.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def reset_webhooks_job() -> None:
    """Subscribe to webhooks."""
    reset_webhooks()


@dg.job(
    description="Read the CRMs back and report where they no longer hold what they acknowledged.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def verify_job() -> None:
    """Report drift."""
    read_back()


@dg.job(
    description="Approve one plan that a guard stopped, by its digest. Look at it first:"
    " the asset `<destination>/plan` shows its figures.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def approve_plan_job() -> None:
    """Approve a plan."""
    approve()


@dg.job(
    description="Pause organisations, or let them run again. A paused one is left out everywhere.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def pause_job() -> None:
    """Throw the pause switch."""
    pause()


@dg.job(
    description="Remove old runs and their events; the newest materialisation of every"
    " organisation, and the run it came from, stay. Remove what each organisation's file says is"
    " over its age: old versions of landed records, webhooks, changes of plans.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def retention_job() -> None:
    """Remove old runs, and what is over its age."""
    clean_runs()
    clean_old()


@dg.job(
    description="Fold the small files of the lake into large ones and delete those that nobody"
    " needs any more. Every version of a landed record stays.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def compaction_job() -> None:
    """Look after the lake's files."""
    compact()


@dg.job(
    description="Try records again that were set aside: those with some keys, of one reason, or"
    " all. Red while some of them stay.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def retry_rejects_job() -> None:
    """Retry rejects."""
    retry()


@dg.job(
    description="Take one applied plan back, where the CRM still holds what it wrote. A dry run"
    " unless told otherwise.",
    executor_def=dg.in_process_executor,
    tags=NO_RETRIES,
)
def undo_plan_job() -> None:
    """Undo a plan."""
    undo()


JOBS = (
    sweep_job,
    lists_job,
    products_job,
    verify_job,
    reset_webhooks_job,
    approve_plan_job,
    pause_job,
    retry_rejects_job,
    undo_plan_job,
    retention_job,
    compaction_job,
)
