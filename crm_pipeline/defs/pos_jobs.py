"""Point of sale as jobs: what an operator does by hand for one sale, one order, one receipt.

Run configuration is stored in clear, so it names contacts by code or CRM id only, and a one-time
password by the variable that holds it. Results are metadata of the op's output: ids and amounts.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import dagster as dg

from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.metadata import Metadata
from crm_pipeline.defs.pos_config import (
    CancelConfig,
    CodesConfig,
    CompleteConfig,
    IdentifyConfig,
    PosConfig,
    ReturnConfig,
    SaleConfig,
    VoidConfig,
)
from crm_pipeline.pos import PointOfSale, Return, Sale, Spend
from crm_pipeline.pos.amounts import parse_amount, show_amount
from crm_pipeline.pos.codes import Receipt, barcode_text, qr_text
from crm_pipeline.pos.forms import LineForm, read_impersonal_means, sale_lines
from crm_pipeline.pos.images import barcode_image, qr_image
from crm_pipeline.pos.refusals import SaleInvalidError
from crm_pipeline.pos.values import Balance, Checkout, GoodsBack, OrderDone, Posted
from crm_pipeline.wiring import Runtime
from crm_pipeline.wiring.pos import connect_pos, pos_defaults, read_otp

NO_RETRIES = {"dagster/max_retries": "0"}


@contextmanager
def working(runtime: Runtime, config: PosConfig) -> Iterator[PointOfSale]:
    """Connect for one op; what goes wrong is told as ours, without people."""
    with dagster_failures(), connect_pos(runtime, config.organisation) as pos:
        yield pos


@dg.op(out=dg.Out(dg.Nothing), description="Look one contact up: ids and the wallet's money.")
def identify_contact(
    context: dg.OpExecutionContext, config: IdentifyConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Tell who a contact is by ids, and what the wallet holds."""
    with working(runtime, config) as pos:
        means = read_impersonal_means(config.contact)
        if means is None:
            raise SaleInvalidError("The contact is empty.", not_done="Nothing was looked up.")
        found = pos.identify(means)
        balances = found.wallet.balances if found.wallet else ()
        context.add_output_metadata(
            {"contact_id": found.id, "contact_code": found.code, "wallet": wallet_table(balances)}
        )


@dg.op(out=dg.Out(dg.Nothing), description="Post a purchase that is paid in full, once.")
def post_purchase(
    context: dg.OpExecutionContext, config: SaleConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Post a back-end purchase."""
    with working(runtime, config) as pos:
        posted = pos.purchase(sale_of(runtime, config), **wishes(runtime, config))
        context.add_output_metadata(posted_metadata(posted))


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Post a purchase once and tell what is still to be paid after the spend.",
)
def post_frontend_purchase(
    context: dg.OpExecutionContext, config: SaleConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Post a front-end purchase."""
    with working(runtime, config) as pos:
        checkout = pos.check_out(sale_of(runtime, config), **wishes(runtime, config))
        context.add_output_metadata(checkout_metadata(checkout))


@dg.op(out=dg.Out(dg.Nothing), description="Cancel a purchase; twice does no harm.")
def void_purchase(
    context: dg.OpExecutionContext, config: VoidConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Void a purchase by reference or id."""
    with working(runtime, config) as pos:
        if bool(config.reference) == bool(config.purchase_id):
            raise SaleInvalidError(
                "Name the purchase by `reference` or by `purchase_id`.",
                not_done="Nothing was voided.",
            )
        by_id = config.purchase_id
        voided = pos.void_by_id(by_id) if by_id else pos.void(config.reference)
        context.add_output_metadata({"purchase_id": voided.id, "was_there": voided.was_there})


@dg.op(out=dg.Out(dg.Nothing), description="Take goods back whose purchase is not known, once.")
def take_goods_back(
    context: dg.OpExecutionContext, config: ReturnConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Post an ad hoc return."""
    with working(runtime, config) as pos:
        back = pos.ad_hoc_return(return_of(runtime, config))
        context.add_output_metadata(return_metadata(back))


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Complete an order; refused when it was posted as a purchase.",
)
def complete_order(
    context: dg.OpExecutionContext, config: CompleteConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Complete an order."""
    with working(runtime, config) as pos:
        done = pos.complete_order(config.order_id, is_forced=config.is_forced)
        context.add_output_metadata(order_metadata(done))


@dg.op(out=dg.Out(dg.Nothing), description="Cancel an order for one of CRM.COM's reasons.")
def cancel_order(
    context: dg.OpExecutionContext, config: CancelConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Cancel an order."""
    with working(runtime, config) as pos:
        done = pos.cancel_order(config.order_id, config.reason)
        context.add_output_metadata(order_metadata(done))


@dg.op(out=dg.Out(dg.Nothing), description="Make the codes of a receipt; nothing is sent.")
def make_codes(
    context: dg.OpExecutionContext, config: CodesConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Show both codes of a receipt, as texts and as pictures."""
    with dagster_failures():
        receipt = receipt_of(runtime, config)
        context.add_output_metadata(codes_metadata(qr_text(receipt), barcode_text(receipt)))


def sale_of(runtime: Runtime, config: SaleConfig) -> Sale:
    """Return the sale that a configuration describes. Raises SaleInvalidError."""
    defaults = pos_defaults(runtime, config.organisation)
    currency = config.currency or defaults.currency
    forms = [
        LineForm(
            sku=each.sku,
            total=each.total,
            quantity=each.quantity,
            tax=each.tax or None,
            name=each.name,
        )
        for each in config.lines
    ]
    return Sale(
        reference=config.reference,
        currency=currency,
        lines=sale_lines(forms, currency, defaults.tax_rate),
        buyer=read_impersonal_means(config.contact),
        place=config.place(),
        date=config.date or None,
        classification=config.classification,
    )


def wishes(runtime: Runtime, config: SaleConfig) -> dict[str, Any]:
    """Return the one-time password and the spend that were asked for."""
    currency = config.currency or pos_defaults(runtime, config.organisation).currency
    spend = None
    if config.spend:
        amount = parse_amount(config.spend, currency)
        spend = Spend(amount=amount, must_be_covered=config.cover_all)
    variable = config.otp_env
    otp = read_otp(runtime, config.organisation, variable) if variable else ""
    return {"otp": otp, "spend": spend}


def return_of(runtime: Runtime, config: ReturnConfig) -> Return:
    """Return the goods that a configuration describes. Raises SaleInvalidError."""
    currency = config.currency or pos_defaults(runtime, config.organisation).currency
    return Return(
        reference=config.reference,
        amount=parse_amount(config.amount, currency),
        currency=currency,
        buyer=read_impersonal_means(config.contact),
        place=config.place(),
    )


def receipt_of(runtime: Runtime, config: CodesConfig) -> Receipt:
    """Return what a configuration says of a receipt. Raises SaleInvalidError."""
    currency = config.currency or pos_defaults(runtime, config.organisation).currency
    return Receipt(
        number=config.receipt,
        merchant=config.merchant,
        venue=config.venue,
        total=parse_amount(config.amount, currency),
        currency=currency,
    )


def posted_metadata(posted: Posted) -> Metadata:
    """Return a purchase: ids and amounts."""
    home = posted.wallet_currency
    return {
        "purchase_id": posted.id,
        "reference": posted.reference,
        "total": _shown(posted.total, posted.currency),
        "award": _shown(posted.award, home),
        "spend": _shown(posted.spend, home),
        "was_there": posted.was_there,
    }


def checkout_metadata(checkout: Checkout) -> Metadata:
    """Return a front-end purchase, with what is still to be paid."""
    posted = checkout.posted
    return {**posted_metadata(posted), "due": _shown(checkout.due, posted.currency)}


def return_metadata(back: GoodsBack) -> Metadata:
    """Return goods that came back: ids and amounts."""
    return {
        "return_id": back.id,
        "reference": back.reference,
        "amount": _shown(back.amount, back.currency),
        "debited": _shown(back.debited, back.wallet_currency),
        "was_there": back.was_there,
    }


def order_metadata(done: OrderDone) -> Metadata:
    """Return what became of an order."""
    return {
        "order_id": done.id,
        "number": done.number,
        "state": done.state,
        "reason": done.reason,
        "was_there": done.was_there,
    }


def codes_metadata(qr: str, barcode: str) -> Metadata:
    """Return both codes as texts, and as pictures that the UI shows."""
    pictures = {"qr": qr_image(qr, "png"), "barcode": barcode_image(barcode, "png")}
    shown = {
        f"{name}_picture": dg.MetadataValue.md(
            f"![{name}](data:image/png;base64,{base64.b64encode(content).decode()})"
        )
        for name, content in pictures.items()
    }
    return {"qr": qr, "barcode": barcode, **shown}


def wallet_table(balances: tuple[Balance, ...]) -> dg.TableMetadataValue:
    """Return one row for each currency in a wallet."""
    names: tuple[Literal["total", "open", "commerce"], ...] = ("total", "open", "commerce")
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "currency": each.currency,
                    **{name: show_amount(getattr(each, name), each.currency) for name in names},
                }
            )
            for each in balances
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in ("currency", *names)]),
    )


def _shown(units: int | None, currency: str) -> str:
    return "not told" if units is None else f"{show_amount(units, currency)} {currency}"


def pos_job(name: str, op: dg.OpDefinition, description: str) -> dg.JobDefinition:
    """Return the job of one op: in one process, never retried by Dagster."""
    return dg.GraphDefinition(name=name, node_defs=[op]).to_job(
        name=name,
        description=description,
        executor_def=dg.in_process_executor,
        tags=NO_RETRIES,
    )


POS_JOBS = (
    pos_job(
        "pos_identify_job",
        identify_contact,
        "Look a contact up at CRM.COM by code or CRM id: ids and the money in the wallet.",
    ),
    pos_job(
        "pos_purchase_job",
        post_purchase,
        "Post one purchase that is paid in full (back end), once under its reference.",
    ),
    pos_job(
        "pos_frontend_purchase_job",
        post_frontend_purchase,
        "Post one purchase (front end), once, and tell what is still to be paid after the spend.",
    ),
    pos_job("pos_void_job", void_purchase, "Cancel one purchase: award and spend go back."),
    pos_job(
        "pos_return_job",
        take_goods_back,
        "Take goods back by their total amount, once under its reference.",
    ),
    pos_job(
        "order_complete_job",
        complete_order,
        "Complete one CRM.COM order. Refused when it was posted as a purchase, unless forced.",
    ),
    pos_job("order_cancel_job", cancel_order, "Cancel one CRM.COM order for one of its reasons."),
    pos_job(
        "pos_codes_job",
        make_codes,
        "Make the QR code and the barcode of a receipt, as texts and pictures. Nothing is sent.",
    ),
)
