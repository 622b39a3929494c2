"""``crm-pipeline orgs``: the organisation files, pausing, and moving to another CRM account."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.options import Json, MaybeDestination, Organisation, examples
from crm_pipeline.errors import EXIT_CONFIGURATION, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crm_pipeline.settings import LoadedOrganisations

EXAMPLES = examples(
    "orgs check",
    "orgs add blue-bakery --loke-id 01HRP5E5X8V37E3S3E28JT97KB",
    "orgs pause blue-bakery",
    "orgs move-account --org blue-bakery --destination crm_com --yes",
    "orgs schema > organisation.schema.json",
)

app = typer.Typer(
    help="List, check, add, pause and resume organisations; move one to another CRM account.",
    no_args_is_help=True,
    epilog=EXAMPLES,
)

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The organisation.")]

TEMPLATE = """\
# What is left out has a default: see `crm-pipeline orgs schema`.
slug: {slug}
name: {name}
sources:
  loke:
    organisation_id: {loke_id}
    client_id: {{env: LOKE_CLIENT_ID}} # the name of a variable, never the secret itself
    client_secret: {{env: LOKE_CLIENT_SECRET}}
destinations:
  crm_com:
    mode: test # test | live
    api_key: {{env: {key_variable}}}
"""


@app.command("list", epilog=examples("orgs list", "orgs list --json"))
def list_organisations(*, as_json: Json = False) -> None:
    """List the organisations, those that are paused or set aside too."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        loaded = runtime.loaded
        paused = runtime.paused()
    rows = [
        [
            slug,
            each.name,
            "paused" if slug in paused else "active",
            ", ".join(each.sources),
            ", ".join(each.destinations),
        ]
        for slug, each in sorted(loaded.organisations.items())
    ]
    rows += [["-", file.name, "SET ASIDE", "-", "-"] for file in loaded.broken]
    screen.table("", ["Organisation", "Name", "State", "Sources", "Destinations"], rows)
    if not rows:
        screen.line("No organisation yet. Next: `crm-pipeline orgs add`, or `crm-pipeline demo`.")
    show_problems(loaded)
    screen.result(
        {
            "organisations": [
                {
                    "slug": slug,
                    "name": each.name,
                    "paused": slug in paused,
                    "file": str(loaded.files[slug]),
                    "sources": list(each.sources),
                    "destinations": list(each.destinations),
                }
                for slug, each in sorted(loaded.organisations.items())
            ],
            "broken": [problem.as_json() for problem in loaded.problems],
        }
    )


@app.command(epilog=examples("orgs check"))
def check(*, as_json: Json = False) -> None:
    """Check every organisation file, without any network. Exit code 78: something is wrong."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        usable = sorted(runtime.organisations)
        problems = [each for listed in runtime.broken.values() for each in listed]
        folder = runtime.settings.config_folder
    for problem in problems:
        screen.line(str(problem))
    screen.line(f"{len(usable)} organisations can be used; {len(problems)} problems in {folder}.")
    screen.result({"usable": usable, "problems": [each.as_json() for each in problems]})
    if problems or not usable:
        raise typer.Exit(EXIT_CONFIGURATION)


@app.command(epilog=examples("orgs schema > organisation.schema.json"))
def schema() -> None:
    """Write the JSON Schema of an organisation file, for editors."""
    from crm_pipeline.settings import organisation_schema

    typer.echo(json.dumps(organisation_schema(), indent=2))


@app.command(epilog=examples("orgs add blue-bakery --loke-id 01HRP5E5X8V37E3S3E28JT97KB"))
def add(
    slug: Slug,
    *,
    loke_id: Annotated[str, typer.Option(help="The organisation's id at LOKE.")],
    name: Annotated[str | None, typer.Option(help="As people call it.")] = None,
) -> None:
    """Write a new organisation file. Names of secrets only; no network."""
    from crm_pipeline.cli.opening import current_settings
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.settings import load_organisations

    settings = current_settings()
    if not _is_slug(slug):
        raise ConfigurationError(
            "A slug is 1 to 40 small letters, digits and `-`, and does not begin with `-`.",
            not_done="Nothing was written.",
        )
    if slug in load_organisations(settings).organisations:
        raise _exists(slug)
    file = settings.config_folder / f"{slug}.yaml"
    key_variable = f"CRM_COM_KEY_{slug.upper().replace('-', '_')}"
    text = TEMPLATE.format(
        slug=json.dumps(slug) if slug.isdecimal() else slug,
        name=json.dumps(name or slug.replace("-", " ").title(), ensure_ascii=False),
        loke_id=json.dumps(loke_id),
        key_variable=key_variable,
    )
    settings.config_folder.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise _exists(slug) from None
    problems = load_organisations(settings).broken.get(file, ())
    if problems:
        file.unlink()
        raise ConfigurationError(
            " ".join(f"{each.field}: {each.problem}" for each in problems),
            not_done="Nothing was written.",
        )
    screen = Screen()
    screen.line(f"Written: {file}")
    screen.line(f"Next: set LOKE_CLIENT_ID, LOKE_CLIENT_SECRET and {key_variable}, then run")
    screen.line(f"  crm-pipeline doctor {slug}")


@app.command(epilog=examples("orgs pause blue-bakery"))
def pause(slug: Slug) -> None:
    """Stop pulling and sending for one organisation until it is resumed. Nothing is lost."""
    _set_paused(slug, is_paused=True)


@app.command(epilog=examples("orgs resume blue-bakery"))
def resume(slug: Slug) -> None:
    """Go on with a paused organisation."""
    _set_paused(slug, is_paused=False)


@app.command(
    epilog=examples("orgs move-account --org blue-bakery --destination crm_com --yes"),
)
def move_account(
    org: Organisation,
    *,
    destination: MaybeDestination = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what.")] = False,
    as_json: Json = False,
) -> None:
    """Forget what the old CRM account acknowledged, so that all is planned for the new one."""
    from crm_pipeline.cli.choosing import one_destination
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.account import move_account as use_case
    from crm_pipeline.sync.audit import record

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        organisation = runtime.organisation(org)
        name = one_destination(organisation, destination)
        if not yes:
            raise _unconfirmed(org, name, runtime.ledger.accounts.counts(org, name))
        counts = use_case(runtime.workspace, org, organisation.destinations[name])
        record(
            runtime.workspace,
            org,
            by=operator_name(),
            what="account_moved",
            details={"destination": name, **counts},
        )
    screen.line(
        f"Forgotten: {counts['objects']:,} objects that the old {name} account acknowledged, and"
        f" {counts['plans']:,} open plans. Nothing was removed there."
    )
    screen.line(f"Next: `crm-pipeline sync --org {org}`.")
    screen.result({"organisation": org, "destination": name, "forgotten": dict(counts)})


def _unconfirmed(org: str, destination: str, counts: "Mapping[str, int]") -> ConfigurationError:
    return ConfigurationError(
        f"This would forget {counts['objects']:,} objects that the old {destination} account"
        f" acknowledged, and {counts['plans']:,} open plans;"
        f" {counts['unknown']:,} writes have no outcome yet.",
        not_done="Nothing was changed.",
        remedy="Add `--yes` if the organisation really has another account now.",
    )


def show_problems(loaded: "LoadedOrganisations") -> None:
    """Write the problems of the files that were set aside to standard error."""
    from crm_pipeline.cli.screen import Screen

    for problem in loaded.problems:
        Screen().note(str(problem))


def _set_paused(slug: str, *, is_paused: bool) -> None:
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.audit import set_paused

    with opened_runtime() as runtime:
        if runtime.loaded.require(slug).paused and not is_paused:
            raise ConfigurationError(
                f"{slug} is paused by its file.",
                not_done="It stays paused.",
                remedy=f"Remove `paused: true` from {runtime.loaded.files[slug]}.",
            )
        set_paused(runtime.workspace, slug, is_paused=is_paused, by=operator_name())
    Screen().line(f"{slug} is {'paused' if is_paused else 'active'}.")


def _is_slug(text: str) -> bool:
    import re

    from crm_pipeline.settings.organisation import SLUG_PATTERN

    return re.fullmatch(SLUG_PATTERN, text) is not None and "\n" not in text


def _exists(slug: str) -> ConfigurationError:
    return ConfigurationError(
        f"There is an organisation {slug} already.",
        not_done="Nothing was written.",
        remedy="Choose another slug, or edit its file.",
    )
