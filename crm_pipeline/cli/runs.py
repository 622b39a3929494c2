"""``crm-pipeline runs``: Dagster's runs that nobody works on any more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.options import Json, examples
from crm_pipeline.errors import TryLaterError

if TYPE_CHECKING:
    import dagster as dg

    from crm_pipeline.cli.screen import Screen

EXAMPLES = examples("runs close-dead", "runs close-dead --yes")

app = typer.Typer(help="Dagster's runs.", no_args_is_help=True, epilog=EXAMPLES)


@app.callback()
def root() -> None:
    """Look after Dagster's runs."""


@app.command("close-dead", epilog=EXAMPLES)
def close_dead(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what.")] = False,
    as_json: Json = False,
) -> None:
    """End the runs whose process is gone, so that they hold up nothing and look like no work.

    Run it on the machine, and in the container, of the Dagster daemon, before that starts.
    """
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_instance() as instance:
        if instance is None:
            screen.line("Dagster has never run here.")
            screen.result({"runs": [], "is_dry_run": not yes})
            return
        _close(screen, instance, is_dry_run=not yes)


def _close(screen: "Screen", instance: "dg.DagsterInstance", *, is_dry_run: bool) -> None:
    import datetime as dt

    from crm_pipeline.defs.dead_runs import close_run, find_dead_runs

    dead = find_dead_runs(instance, dt.datetime.now(dt.UTC))
    closed = [is_dry_run or close_run(instance, each) for each in dead]
    for each, is_closed in zip(dead, closed, strict=True):
        did = "would be ended" if is_dry_run else "is ended" if is_closed else "has ended by itself"
        screen.line(f"Run {each.run_id} of {each.job} ({each.status}) {did}. {each.reason}")
    if not dead:
        screen.line("No open run has lost its process.")
    elif is_dry_run:
        screen.line("Nothing was changed. Add `--yes` to end them.")
    screen.result(
        {
            "runs": [
                {
                    "run": each.run_id,
                    "job": each.job,
                    "status": each.status,
                    "pid": each.pid,
                    "reason": each.reason,
                    "is_closed": is_closed and not is_dry_run,
                }
                for each, is_closed in zip(dead, closed, strict=True)
            ],
            "is_dry_run": is_dry_run,
        }
    )


@contextmanager
def opened_instance() -> Iterator["dg.DagsterInstance | None"]:
    """Open Dagster's own storage, at DAGSTER_HOME; None where there is none yet."""
    import dagster as dg

    from crm_pipeline.cli.opening import current_settings

    home = current_settings().dagster_home
    if not home.is_dir():
        yield None
        return
    try:
        instance = dg.DagsterInstance.from_config(str(home))
        instance.get_runs_count()
    except Exception as error:  # its drivers raise their own
        raise TryLaterError(
            f"Dagster's storage cannot be read ({type(error).__name__}).",
            not_done="No run was looked at.",
            remedy=f"See {home}/dagster.yaml, and whether its database runs.",
        ) from error
    with instance:
        yield instance
