"""``crm-pipeline customers``: look one person up at the source, now."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import Json, Organisation, examples

if TYPE_CHECKING:
    from crm_pipeline.core.ports import PeopleApi, SourceApi

EXAMPLES = examples(
    "customers find --org harbour-coffee --id 01CMR2FT00QD28ZNBTZMAMRKJ5",
    "customers find --org harbour-coffee --email mina@example.com --values",
)

app = typer.Typer(
    help="Look people up at the source, as it holds them now.",
    no_args_is_help=True,
    epilog=EXAMPLES,
)


@app.callback()
def root() -> None:
    """Look people up; nothing is stored or sent."""


@app.command("find", epilog=EXAMPLES)
def find(
    org: Organisation,
    *,
    customer_id: Annotated[str | None, typer.Option("--id", help="The source's own id.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="The whole address.")] = None,
    phone: Annotated[
        str | None, typer.Option("--phone", help="With plus and dialling code; may fit several.")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show values too: personal data on your screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find customers by id, e-mail or phone, with the lists that each is in. Exit 65: nobody."""
    from contextlib import closing

    from crm_pipeline.cli.choosing import chosen
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.errors import EXIT_DATA, EXIT_OK, ConfigurationError

    if sum(each is not None for each in (customer_id, email, phone)) != 1:
        raise ConfigurationError(
            "Say whom: one of --id, --email and --phone.", not_done="Nothing was looked up."
        )
    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        organisation = runtime.organisation(org)
        name = organisation.resolve.source
        binding = chosen("source", organisation.sources, name)[name]
        with closing(binding.connect()) as api:
            people = [
                {**row, "lists": lists_of(api, row["id"])}
                for row in look_up(api, customer_id, email, phone)
            ]
    shown = people if values else [{"id": each["id"], "lists": each["lists"]} for each in people]
    rows = [[each["id"], ", ".join(each["lists"])] for each in people]
    screen.table(f"Customers of {org} at {binding.spec.title}", ["Id", "Lists"], rows)
    if values:
        for each in people:
            told = [[field, value] for field, value in each.items() if value is not None]
            screen.table(each["id"], ["Field", "Value"], told)
    if not people:
        screen.line("Nobody was found.")
    screen.result({"organisation": org, "customers": shown})
    raise typer.Exit(EXIT_OK if people else EXIT_DATA)


def look_up(
    api: "SourceApi", customer_id: str | None, email: str | None, phone: str | None
) -> list[dict[str, Any]]:
    """Return the customers that fit, as columns of the dataset."""
    if customer_id is not None:
        decoded = api.read_one("customers", customer_id)
    else:
        decoded = _people(api).find(email=email or "", phone=phone or "")
    found: list[dict[str, Any]] = decoded.rows.to_pylist() if decoded is not None else []
    return found


def lists_of(api: "SourceApi", customer_id: str) -> list[str]:
    """Return the names of the lists that one customer is in."""
    return [each.name for each in _people(api).memberships(customer_id)]


def _people(api: "SourceApi") -> "PeopleApi":
    from crm_pipeline.core.ports import PeopleApi
    from crm_pipeline.errors import ConfigurationError

    if isinstance(api, PeopleApi):
        return api
    raise ConfigurationError("This source cannot look people up.", not_done="Nothing was read.")
