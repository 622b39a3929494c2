"""Telling the sources where to send webhooks, for many organisations, each by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import dagster as dg
from pydantic import Field

from crm_pipeline.defs.choosing import ChoiceConfig, Which, choose
from crm_pipeline.defs.failures import Trouble, dagster_failures, failure_of_many, trouble_of
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.sync.subscribe import ResetReport, WantedHook, reset
from crm_pipeline.wiring import Runtime
from crm_pipeline.wiring.hooks import wanted_hooks


class ResetHooksConfig(ChoiceConfig):
    """Whose webhooks are subscribed to anew, and at which source."""

    source: str = Field(
        default="", description="One source, such as `loke`. Empty: every source with webhooks."
    )


@dataclass(slots=True)
class _Done:
    reports: list[ResetReport] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Subscribe to each organisation's webhooks anew, with the present address and"
    " secret. Safe to repeat.",
)
def reset_webhooks(
    context: dg.OpExecutionContext,
    config: ResetHooksConfig,
    runtime: dg.ResourceParam[Runtime],
) -> Iterator[dg.Output[None]]:
    """Reset each organisation's webhooks; end red naming the failed organisations."""
    with dagster_failures():
        slugs = choose(runtime, config)
        done = _Done()
        for slug in slugs:
            _reset_one(runtime, slug, config, done)
        for report in done.reports:
            context.log.info(sentence(report))
        if done.troubles:
            raise failure_of_many(done.troubles, total=len(slugs))
        yield dg.Output(None, metadata={"webhooks": report_table(done.reports)})


def _reset_one(runtime: Runtime, slug: str, config: ResetHooksConfig, done: _Done) -> None:
    """Reset one organisation's webhooks; a failure at one source does not stop the others."""
    troubles: list[Trouble] = []
    try:
        hooks = hooks_of(runtime, slug, config)
    except Exception as error:  # noqa: BLE001 - one organisation must not stop the others
        hooks = []
        troubles.append(trouble_of(slug, error))
    for hook in hooks:
        try:
            done.reports.append(reset(hook))
        except Exception as error:  # noqa: BLE001 - one source must not stop the others
            troubles.append(trouble_of(slug, error))
    done.troubles += troubles[:1]


def hooks_of(runtime: Runtime, slug: str, config: ResetHooksConfig) -> list[WantedHook]:
    """Return what an organisation wants to be told.

    Raises ConfigurationError when one that was listed by name wants nothing.
    """
    hooks = [
        hook for name, hook in wanted_hooks(runtime, slug).items() if config.source in ("", name)
    ]
    if not hooks and config.which is Which.LISTED:
        where = f" from {config.source}" if config.source else ""
        raise ConfigurationError(
            f"{slug} has no webhooks{where} configured.",
            not_done="Nothing was subscribed to.",
            remedy="Add `webhooks` to the source in the organisation's file.",
        )
    return hooks


def sentence(report: ResetReport) -> str:
    """Return one line about a reset. No secret is in it."""
    where = f"{report.organisation}, {report.source}:"
    if report.did == "by_hand":
        return f"{where} it takes no calls for this. Enter {report.url} there by hand."
    removed = f" Removed {report.removed:,} older ones." if report.removed else ""
    return f"{where} {report.did} {report.url} for {', '.join(report.events)}.{removed}"


def report_table(reports: Iterable[ResetReport]) -> dg.TableMetadataValue:
    """Return one row for each organisation and source."""
    names = ("organisation", "source", "did", "url", "removed")
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: getattr(report, name) for name in names}) for report in reports
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in names]),
    )
