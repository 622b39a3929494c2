"""``crm-pipeline webhooks``: tell the sources where to send webhooks."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import Json, MaybeOrganisation, MaybeSource, examples
from crm_pipeline.errors import EXIT_OK, ConfigurationError

if TYPE_CHECKING:
    from crm_pipeline.sync.subscribe import WantedHook
    from crm_pipeline.wiring import Runtime

EXAMPLES = examples(
    "webhooks reset --org harbour-coffee",
    "webhooks reset --all",
    "webhooks list --org harbour-coffee --source loke",
    "webhooks delete --org harbour-coffee",
)

app = typer.Typer(
    help="Tell the sources where to send webhooks.", no_args_is_help=True, epilog=EXAMPLES
)

Every = Annotated[bool, typer.Option("--all", help="Every organisation that has webhooks.")]
_Work = Callable[["WantedHook"], dict[str, Any]]


@app.callback()
def root() -> None:
    """Subscribe to webhooks, look at subscriptions, and end them."""


@app.command(epilog=EXAMPLES)
def reset(
    org: MaybeOrganisation = None,
    source: MaybeSource = None,
    *,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """Subscribe, or subscribe anew: one subscription with the present address and secret.

    Safe to repeat. Run it after a secret, an address or the datasets changed.
    """

    def work(hook: "WantedHook") -> dict[str, Any]:
        from crm_pipeline.sync.subscribe import reset

        return asdict(reset(hook))

    _run(org, source, work, _tell_reset, every=every, as_json=as_json, noted="webhooks_reset")


@app.command("list", epilog=EXAMPLES)
def list_all(
    org: MaybeOrganisation = None,
    source: MaybeSource = None,
    *,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """Show what is subscribed at the sources, ours and others'. Changes nothing."""

    def work(hook: "WantedHook") -> dict[str, Any]:
        from crm_pipeline.sync.subscribe import list_all

        return {"subscriptions": [asdict(each) for each in list_all(hook)]}

    _run(org, source, work, _tell_list, every=every, as_json=as_json)


@app.command(epilog=EXAMPLES)
def delete(
    org: MaybeOrganisation = None,
    source: MaybeSource = None,
    *,
    every: Every = False,
    as_json: Json = False,
) -> None:
    """End our subscriptions; others' stay. Safe to repeat."""

    def work(hook: "WantedHook") -> dict[str, Any]:
        from crm_pipeline.sync.subscribe import delete

        return {"removed": delete(hook)}

    _run(org, source, work, _tell_delete, every=every, as_json=as_json, noted="webhooks_deleted")


def _run(
    org: str | None,
    source: str | None,
    work: _Work,
    tell: Callable[[dict[str, Any]], Sequence[str]],
    *,
    every: bool,
    as_json: bool,
    noted: str = "",
) -> None:
    """Do it for each hook that was meant; a failure of one keeps no other from being done.

    ``noted`` is what the audit log calls it; empty for what changes nothing.
    """
    from crm_pipeline.cli.exits import worst
    from crm_pipeline.cli.failures import as_our_error, error_json
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    codes, documents = [EXIT_OK], []
    with opened_runtime() as runtime:
        for hook in _meant(runtime, org, source, every=every):
            document: dict[str, Any] = {
                "organisation": hook.organisation,
                "source": hook.spec.name,
            }
            try:
                document |= work(hook)
                if noted:
                    _note(runtime, document, noted)
                for line in tell(document):
                    screen.line(line)
            except Exception as error:  # noqa: BLE001 - one organisation must not stop the others
                ours = as_our_error(error)
                codes.append(ours.exit_code)
                document["error"] = error_json(ours)
                screen.note(f"{hook.organisation}, {hook.spec.name}: {ours}")
            documents.append(document)
    screen.result({"webhooks": documents})
    code = worst(codes)
    if code != EXIT_OK:
        raise typer.Exit(code)


def _note(runtime: "Runtime", document: dict[str, Any], what: str) -> None:
    from crm_pipeline.cli.opening import operator_name
    from crm_pipeline.sync.audit import record

    details: dict[str, Any] = {"source": document["source"]}
    if "events" in document:
        details |= {"did": document["did"], "events": list(document["events"])}
    slug = document["organisation"]
    record(runtime.workspace, slug, by=operator_name(), what=what, details=details)


def _meant(
    runtime: "Runtime", org: str | None, source: str | None, *, every: bool
) -> Sequence["WantedHook"]:
    from crm_pipeline.wiring.hooks import wanted_hooks

    if (org is None) is not every:
        raise ConfigurationError(
            "Which organisation is meant is not clear.",
            not_done="Nothing was done.",
            remedy="Name one with --org, or all of them with --all.",
        )
    slugs = [org] if org is not None else sorted(runtime.organisations)
    hooks = [
        hook
        for slug in slugs
        for name, hook in wanted_hooks(runtime, slug).items()
        if source in (None, name)
    ]
    if not hooks:
        raise ConfigurationError(
            "No webhooks are configured" + (f" for {org}." if org else "."),
            not_done="Nothing was done.",
            remedy="Add `webhooks` to a source in the organisation's file.",
        )
    return hooks


def _tell_reset(document: dict[str, Any]) -> Sequence[str]:
    where = f"{document['organisation']}, {document['source']}:"
    if document["did"] == "by_hand":
        return [f"{where} it takes no calls for this. Enter {document['url']} there by hand."]
    lines = [f"{where} {document['did']} {document['url']} for {', '.join(document['events'])}."]
    if document["removed"]:
        lines.append(f"{where} removed {document['removed']} older ones of ours.")
    return lines


def _tell_list(document: dict[str, Any]) -> Sequence[str]:
    where = f"{document['organisation']}, {document['source']}:"
    return [
        f"{where} {'ours' if each['is_ours'] else 'other'} {each['ref']} {each['url']}"
        f" for {', '.join(each['events'])}"
        for each in document["subscriptions"]
    ] or [f"{where} nothing is subscribed."]


def _tell_delete(document: dict[str, Any]) -> Sequence[str]:
    return [f"{document['organisation']}, {document['source']}: removed {document['removed']}."]
