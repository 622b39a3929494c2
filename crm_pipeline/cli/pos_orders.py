"""``crm-pipeline pos orders``: orders that contacts placed at CRM.COM."""

from typing import Annotated

import typer

from crm_pipeline.cli.options import Json, Organisation, examples

app = typer.Typer(
    help="Orders that contacts placed at CRM.COM.",
    no_args_is_help=True,
    epilog=examples("pos orders list --org harbour-coffee --state NEW"),
)

OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="CRM.COM's id of the order.")]
COLUMNS = ("number", "id", "state", "total", "currency", "submitted_at", "contact_code")


@app.callback()
def root() -> None:
    """Look at orders, complete and cancel them."""


@app.command("list", epilog=examples("pos orders list --org harbour-coffee --state NEW"))
def list_orders(
    org: Organisation,
    *,
    state: Annotated[str, typer.Option("--state", help="NEW, IN_PROGRESS, COMPLETED...")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest orders."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import order_document
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.wiring.pos import connect_pos

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        found = [order_document(each) for each in pos.orders(state=state.upper(), limit=limit)]
    rows = [[each[name] for name in COLUMNS] for each in found]
    screen.table(f"Orders of {org}", [name.replace("_", " ") for name in COLUMNS], rows)
    screen.result({"organisation": org, "orders": found})


ID = "6514df04-9218-d354-9d59-ed9e98882fe6"


@app.command(epilog=examples(f"pos orders show --org harbour-coffee {ID}"))
def show(org: Organisation, order: OrderId, *, as_json: Json = False) -> None:
    """Show one order with its lines."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import order_document, pairs
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.wiring.pos import connect_pos

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        document = order_document(pos.order(order))
    screen.table("Order", ["", ""], pairs(document))
    lines = [[each["quantity"], each["sku"], each["name"]] for each in document["items"]]
    screen.table("Lines", ["quantity", "sku", "name"], lines)
    screen.result({"organisation": org, "order": document})


@app.command(epilog=examples(f"pos orders complete --org harbour-coffee {ID}"))
def complete(
    org: Organisation,
    order: OrderId,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Although it was posted as a purchase: awards twice.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Complete an order: CRM.COM awards it and tells the contact. Twice does no harm."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import done_document, pairs
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.wiring.pos import connect_pos

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        document = done_document(pos.complete_order(order, is_forced=force))
    screen.table("Order", ["", ""], pairs(document))
    screen.result({"organisation": org, "order": document})


@app.command(
    epilog=examples(f"pos orders cancel --org harbour-coffee {ID} --reason 'Items out of stock'")
)
def cancel(
    org: Organisation,
    order: OrderId,
    reason: Annotated[
        str, typer.Option("--reason", help="By name or id: `pos orders reasons` lists them.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Cancel an order for one of CRM.COM's reasons. Twice does no harm."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import done_document, pairs
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.wiring.pos import connect_pos

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        document = done_document(pos.cancel_order(order, reason))
    screen.table("Order", ["", ""], pairs(document))
    screen.result({"organisation": org, "order": document})


@app.command(epilog=examples("pos orders reasons --org harbour-coffee"))
def reasons(org: Organisation, *, as_json: Json = False) -> None:
    """List the reasons for which an order may be cancelled."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.wiring.pos import connect_pos

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        found = pos.cancellation_reasons()
    screen.table("Reasons", ["id", "name"], [list(each) for each in found.items()])
    screen.result({"organisation": org, "reasons": dict(found)})
