"""``crm-pipeline pos``: what a till does, by hand, on an organisation's CRM.COM account."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli import pos_orders
from crm_pipeline.cli.options import Json, Organisation, examples

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.pos import Means, Spend
    from crm_pipeline.wiring import Runtime

app = typer.Typer(
    help="Point of sale on CRM.COM: identify, purchase, void, return, codes, orders. Amounts are"
    " decimals, such as 14.50. Whatever moves money has a reference of yours: after an error repeat"
    " it with the same one, and it is done once.",
    no_args_is_help=True,
    epilog=examples(
        "pos identify --org harbour-coffee --contact code=loke:01CMR2FT00QD28ZNBTZMAMRKJ5",
        "pos frontend --org harbour-coffee --reference R-17 --line SKU-1:2:9.00"
        " --contact email=mina@example.com --spend 5.00",
    ),
)
app.add_typer(pos_orders.app, name="orders")

Contact = Annotated[
    str,
    typer.Option(
        "--contact", metavar="KIND=VALUE", help="id, code, cim, email, phone, loyalty or wallet."
    ),
]
Reference = Annotated[
    str, typer.Option("--reference", help="The receipt's number; never used for anything else.")
]
Currency = Annotated[
    str | None, typer.Option("--currency", metavar="XXX", help="Default: the organisation's.")
]
At = Annotated[
    str, typer.Option("--place", metavar="KIND=VALUE", help="organisation=ID or tap=CODE.")
]
Date = Annotated[str, typer.Option("--date", metavar="TIME", help="ISO 8601; default: now.")]


@app.callback()
def root() -> None:
    """Sell, take back and look at orders. Nothing here is part of a sync."""


IDENTIFY = examples(
    "pos identify --org harbour-coffee --contact code=loke:01CMR2FT00QD28ZNBTZMAMRKJ5",
    "pos identify --org harbour-coffee --contact phone=+61400000001 --values",
)


@app.command(epilog=IDENTIFY)
def identify(
    org: Organisation,
    contact: Contact,
    *,
    values: Annotated[
        bool, typer.Option("--values", help="Show the name too: personal data on your screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find the one contact that is meant, with the money in the wallet. Exit code 65: nobody."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import contact_document, pairs
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.pos.forms import read_means
    from crm_pipeline.wiring.pos import connect_pos

    screen, means = Screen(is_json=as_json), read_means(contact)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        found = contact_document(pos.identify(means), with_values=values)
    screen.table("Contact", ["", ""], pairs(found))
    columns = ("currency", "total", "open", "commerce")
    balances = found["wallet"] or []
    screen.table("Wallet", columns, [[each[name] for name in columns] for each in balances])
    screen.result({"organisation": org, "contact": found})


def sell(  # noqa: PLR0913  one option each
    context: typer.Context,
    org: Organisation,
    reference: Reference,
    *,
    line: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="SKU:QTY:TOTAL[:NAME]", help="May be repeated."),
    ] = None,
    lines: Annotated[
        str | None,
        typer.Option(
            "--lines", metavar="FILE", help="JSON list of sku, quantity, total, tax, name; - stdin."
        ),
    ] = None,
    contact: Annotated[
        str, typer.Option("--contact", metavar="KIND=VALUE", help="As `pos identify` takes it.")
    ] = "",
    spend: Annotated[
        str | None, typer.Option("--spend", metavar="AMOUNT", help="To be paid from the wallet.")
    ] = None,
    cover_all: Annotated[
        bool, typer.Option("--cover-all", help="No purchase unless all of --spend is covered.")
    ] = False,
    ask_otp: Annotated[
        bool, typer.Option("--ask-otp", help="Ask for the contact's one-time password.")
    ] = False,
    otp_env: Annotated[
        str | None, typer.Option("--otp-env", metavar="NAME", help="The variable that holds it.")
    ] = None,
    tax_rate: Annotated[
        str | None,
        typer.Option("--tax-rate", metavar="0.1", help="In the totals; default: the file's."),
    ] = None,
    discount: Annotated[
        str, typer.Option("--discount", metavar="AMOUNT", help="Taken off before, for the record.")
    ] = "0",
    currency: Currency = None,
    place: At = "",
    classification: Annotated[str, typer.Option("--classification")] = "POS",
    date: Date = "",
    notes: Annotated[str, typer.Option("--notes", help="Kept with the purchase.")] = "",
    as_json: Json = False,
) -> None:
    """Post a purchase once. Both commands end here; ``context`` tells which one was typed."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.pos import Sale
    from crm_pipeline.pos.amounts import parse_amount
    from crm_pipeline.pos.forms import one_list, read_date, read_decimal, read_place, sale_lines
    from crm_pipeline.wiring.pos import pos_defaults

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        defaults = pos_defaults(runtime, org)
        unit = currency or defaults.currency
        rate = defaults.tax_rate if tax_rate is None else read_decimal(tax_rate, "A tax rate")
        sale = Sale(
            reference=reference,
            currency=unit,
            lines=sale_lines(one_list(line or [], _content(lines)), unit, rate),
            buyer=_means(contact),
            place=read_place(place),
            date=read_date(date),
            discount=parse_amount(discount, unit),
            classification=classification,
            notes=notes,
        )
        otp = _otp(runtime, org, ask_otp, otp_env)
        wish = _spend(spend, unit, cover_all)
        _post(screen, runtime, org, sale, otp, wish, is_front=context.info_name == "frontend")


PURCHASE = examples(
    "pos purchase --org harbour-coffee --reference R-17 --line SKU-1:2:9.00:Coffee"
    " --contact code=loke:01CMR2FT00QD28ZNBTZMAMRKJ5",
    "pos purchase --org harbour-coffee --reference R-18 --lines lines.json --place tap=T1",
    "pos purchase --org harbour-coffee --reference R-19 --line SKU-1:1:4.50 --ask-otp --spend 2.00",
)
FRONTEND = examples(
    "pos frontend --org harbour-coffee --reference R-20 --line SKU-1:2:9.00"
    " --contact phone=+61400000001 --spend 5.00",
    "pos frontend --org harbour-coffee --reference R-21 --line SKU-1:2:9.00 --ask-otp --spend 5.00"
    " --cover-all --json",
)
app.command(
    "purchase",
    epilog=PURCHASE,
    help="Post a purchase that is paid in full (back end). CRM.COM awards, and pays a spend out.",
)(sell)
app.command(
    "frontend",
    epilog=FRONTEND,
    help="Identify the buyer, post the purchase and tell what is still to be paid after the spend.",
)(sell)

VOID = examples(
    "pos void --org harbour-coffee --reference R-17",
    "pos void --org harbour-coffee --id 5e0c1c1e-6a44-4e0e-9b3c-0d8f1f6f2a10",
)


@app.command(epilog=VOID)
def void(
    org: Organisation,
    *,
    reference: Annotated[str, typer.Option("--reference", help="It was posted under.")] = "",
    crm_id: Annotated[str, typer.Option("--id", help="CRM.COM's id of the purchase.")] = "",
    as_json: Json = False,
) -> None:
    """Cancel a purchase: award and spend go back. Twice does no harm."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import pairs, voided_document
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.wiring.pos import connect_pos

    if bool(reference) == bool(crm_id):
        raise typer.BadParameter("name the purchase: --reference or --id.")
    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime, connect_pos(runtime, org) as pos:
        voided = pos.void(reference) if reference else pos.void_by_id(crm_id)
    document = voided_document(voided)
    screen.table("Voided", ["", ""], pairs(document))
    screen.result({"organisation": org, "purchase": document})


RETURN = examples(
    "pos return --org harbour-coffee --reference B-4 --amount 9.00"
    " --contact code=loke:01CMR2FT00QD28ZNBTZMAMRKJ5"
)


@app.command("return", epilog=RETURN)
def take_back(
    org: Organisation,
    reference: Reference,
    amount: Annotated[str, typer.Option("--amount", help="Worth of the goods in all.")],
    *,
    contact: Annotated[
        str, typer.Option("--contact", metavar="KIND=VALUE", help="As `pos identify` takes it.")
    ] = "",
    currency: Currency = None,
    place: At = "",
    date: Date = "",
    as_json: Json = False,
) -> None:
    """Take goods back whose purchase is not known, by their total amount."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.pos_view import pairs, return_document
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.pos import Return
    from crm_pipeline.pos.amounts import parse_amount
    from crm_pipeline.pos.forms import read_date, read_place
    from crm_pipeline.wiring.pos import connect_pos, pos_defaults

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        unit = currency or pos_defaults(runtime, org).currency
        wanted = Return(
            reference=reference,
            amount=parse_amount(amount, unit),
            currency=unit,
            buyer=_means(contact),
            place=read_place(place),
            date=read_date(date),
        )
        with connect_pos(runtime, org) as pos:
            document = return_document(pos.ad_hoc_return(wanted))
    screen.table("Taken back", ["", ""], pairs(document))
    screen.result({"organisation": org, "return": document})


CODES = examples(
    "pos codes --org harbour-coffee --receipt R-17 --merchant M1 --venue V2 --amount 14.50",
    "pos codes --org harbour-coffee --receipt R-17 --merchant M1 --venue V2 --amount 14.50"
    " --out codes",
)


@app.command(epilog=CODES)
def codes(
    org: Organisation,
    receipt: Annotated[str, typer.Option("--receipt", help="The receipt's number.")],
    merchant: Annotated[str, typer.Option("--merchant", help="CRM.COM's number of the business.")],
    venue: Annotated[str, typer.Option("--venue", help="CRM.COM's number of the place.")],
    amount: Annotated[str, typer.Option("--amount", help="The total that was paid.")],
    *,
    currency: Currency = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write qr and barcode there, svg and png."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the QR code and the barcode of a receipt, with which a contact claims the purchase."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.pos.amounts import parse_amount
    from crm_pipeline.pos.codes import Receipt, barcode_text, qr_text
    from crm_pipeline.wiring.pos import pos_defaults

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        unit = currency or pos_defaults(runtime, org).currency
    total = parse_amount(amount, unit)
    printed = Receipt(number=receipt, merchant=merchant, venue=venue, total=total, currency=unit)
    texts = {"qr": qr_text(printed), "barcode": barcode_text(printed)}
    files = _write_images(out, texts) if out is not None else []
    rows = [*texts.items(), *(("file", name) for name in files)]
    screen.table("Codes", ["", ""], [list(row) for row in rows])
    screen.result({"organisation": org, **texts, "files": files})


def _write_images(folder: Path, texts: dict[str, str]) -> list[str]:
    from crm_pipeline.errors import ConfigurationError
    from crm_pipeline.pos.images import barcode_image, qr_image

    files = [
        (folder / f"{name}.{form}", image(texts[name], form))
        for name, image in (("qr", qr_image), ("barcode", barcode_image))
        for form in ("svg", "png")
    ]  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in files:
            path.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(
            f"The folder for the codes cannot be written ({type(error).__name__}).",
            not_done="Not every picture was written.",
            remedy="Choose another one with --out.",
        ) from error
    return [str(path) for path, _ in files]


def _post(
    screen: "Screen",
    runtime: "Runtime",
    org: str,
    sale: Any,
    otp: str,
    spend: "Spend | None",
    *,
    is_front: bool,
) -> None:
    from crm_pipeline.cli.pos_view import checkout_document, pairs, posted_document
    from crm_pipeline.wiring.pos import connect_pos

    with connect_pos(runtime, org) as pos:
        if is_front:
            document = checkout_document(pos.check_out(sale, otp=otp, spend=spend))
        else:
            document = posted_document(pos.purchase(sale, otp=otp, spend=spend))
    screen.table("Purchase", ["", ""], pairs(document))
    if document["was_there"]:
        screen.line("It had been posted before: nothing was sent now.")
    screen.result({"organisation": org, "purchase": document})


def _means(text: str) -> "Means | None":
    from crm_pipeline.pos.forms import read_means

    return read_means(text) if text else None


def _spend(text: str | None, currency: str, cover_all: bool) -> "Spend | None":
    from crm_pipeline.pos import Spend
    from crm_pipeline.pos.amounts import parse_amount

    if text is None:
        if cover_all:
            raise typer.BadParameter("--cover-all goes with --spend.")
        return None
    return Spend(amount=parse_amount(text, currency), must_be_covered=cover_all)


def _otp(runtime: "Runtime", org: str, is_asked: bool, variable: str | None) -> str:
    """Return the one-time password; it is never an argument, where other users could see it."""
    from crm_pipeline.wiring.pos import read_otp

    if is_asked and variable:
        raise typer.BadParameter("--ask-otp or --otp-env, not both.")
    if variable:
        return read_otp(runtime, org, variable)
    return str(typer.prompt("One-time password", hide_input=True, err=True)) if is_asked else ""


def _content(name: str | None) -> bytes | None:
    """Return the bytes of a file of lines, or of standard input."""
    if name is None:
        return None
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"the lines cannot be read ({type(error).__name__}).") from error
