"""What people and programs write down of a sale, as texts, and what it stands for.

Pure. Amounts are plain decimals of the currency; nothing is rounded. Shared by the command line
and the Dagster jobs. Messages never repeat a value that may be personal.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import get_args

import msgspec

from crm_pipeline.core.money import included_tax
from crm_pipeline.core.purchases import Place
from crm_pipeline.core.times import UnreadableTimeError, parse_time
from crm_pipeline.pos.amounts import parse_amount
from crm_pipeline.pos.refusals import SaleInvalidError
from crm_pipeline.pos.values import Means, MeansKind, SaleLine

_KINDS: tuple[str, ...] = get_args(MeansKind)
_LOOKS_LIKE_PHONE = re.compile(r"[(+]?[0-9][0-9 ()/.-]{4,18}")
#: Codes that CRM.COM draws itself have sixteen digits, one more than any phone number.
_DRAWN_CODE = re.compile(r"[0-9]{16}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineForm:
    """One line as it was written. Without ``tax`` the tax rate decides."""

    sku: str
    total: str
    quantity: str = "1"
    tax: str | None = None
    name: str = ""
    family: str = ""


class _LineBody(msgspec.Struct, forbid_unknown_fields=True):
    """One line in a file; amounts are JSON numbers or texts, read exactly."""

    sku: str
    total: Decimal
    quantity: Decimal = Decimal(1)
    tax: Decimal | None = None
    name: str = ""
    family: str = ""


def read_line(text: str) -> LineForm:
    """Return a line written as ``SKU:QTY:TOTAL[:NAME]``. Raises SaleInvalidError.

    >>> read_line("SKU-1:2:9.00:Flat white")
    LineForm(sku='SKU-1', total='9.00', quantity='2', tax=None, name='Flat white', family='')
    """
    sku, _, rest = text.partition(":")
    quantity, mark, rest = rest.partition(":")
    total, _, name = rest.partition(":")
    if not (sku and quantity and mark and total):
        raise _invalid(
            "A line is not SKU:QTY:TOTAL[:NAME].",
            "Write it like SKU-1:2:9.00, or use a file of lines for SKUs that hold a colon.",
        )
    return LineForm(sku=sku, quantity=quantity, total=total, name=name)


def read_lines(content: bytes) -> list[LineForm]:
    """Return the lines of a JSON list of objects. Raises SaleInvalidError.

    >>> read_lines(b'[{"sku": "A", "total": 9.10, "quantity": "2"}]')[0].total
    '9.10'
    """
    try:
        bodies = msgspec.json.decode(content, type=list[_LineBody])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _invalid(
            "The lines are no JSON list of objects with sku, total, quantity, tax, name, family.",
            'Write them like [{"sku": "SKU-1", "quantity": 2, "total": "9.00"}].',
        ) from None
    return [
        LineForm(
            sku=each.sku,
            total=format(each.total, "f"),
            quantity=format(each.quantity, "f"),
            tax=None if each.tax is None else format(each.tax, "f"),
            name=each.name,
            family=each.family,
        )
        for each in bodies
    ]


def sale_lines(
    forms: Iterable[LineForm], currency: str, tax_rate: Decimal | None
) -> tuple[SaleLine, ...]:
    """Return lines in smallest units. ``tax_rate`` (0.1 is 10 %) is included in the totals."""
    return tuple(_line(form, currency, tax_rate) for form in forms)


def _line(form: LineForm, currency: str, tax_rate: Decimal | None) -> SaleLine:
    total = parse_amount(form.total, currency)
    if form.tax is not None:
        tax = parse_amount(form.tax, currency)
    else:
        tax = included_tax(total, tax_rate or Decimal(0))
    return SaleLine(
        sku=form.sku,
        total=total,
        tax=tax,
        quantity=read_decimal(form.quantity, "A quantity"),
        name=form.name,
        family=form.family,
    )


def read_decimal(text: str, what: str) -> Decimal:
    """Return a plain decimal. Raises SaleInvalidError."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise _invalid(f"{what} is no plain decimal.", "Write it like 2 or 0.5.")
    return number


def read_means(text: str) -> Means:
    """Return a means of identification written as ``KIND=VALUE``. Raises SaleInvalidError.

    >>> read_means("code=loke:A").kind
    'code'
    """
    kind, mark, value = text.partition("=")
    if not mark or kind not in _KINDS or not value.strip():
        raise _invalid("A contact is named as KIND=VALUE.", f"KIND is one of {', '.join(_KINDS)}.")
    return Means(kind=kind, value=value.strip())  # type: ignore[arg-type]


def read_impersonal_means(text: str) -> Means | None:
    """Return a contact named by CRM id or code, None for nobody. Raises SaleInvalidError.

    What looks like an e-mail address or a phone number is refused: where this is written, it stays.
    """
    value = text.strip()
    if not value:
        return None
    if _GUID.fullmatch(value):
        return Means(kind="id", value=value.lower())
    is_phone = _LOOKS_LIKE_PHONE.fullmatch(value) and not _DRAWN_CODE.fullmatch(value)
    if "@" in value or is_phone:
        raise _invalid(
            "A contact looks like an e-mail address or a phone number. Run configuration is kept"
            " in clear.",
            "Name the contact by its code or CRM id (`crm-pipeline pos identify` tells them), and"
            " delete this run.",
        )
    return Means(kind="code", value=value)


def read_place(text: str) -> Place:
    """Return a place written as ``organisation=ID`` or ``tap=CODE``; empty is the key's own.

    >>> read_place("tap=T1"), read_place("")
    (Place(organisation_id=None, tap_code='T1'), Place(organisation_id=None, tap_code=None))
    """
    kind, _, value = text.partition("=")
    if kind == "organisation" and value:
        return Place(organisation_id=value)
    if kind == "tap" and value:
        return Place(tap_code=value)
    if text:
        raise _invalid(
            "A place is named as organisation=ID or tap=CODE.",
            "Leave it out for the organisation that the key belongs to.",
        )
    return Place()


def read_date(text: str) -> int | None:
    """Return an ISO time with its zone in epoch seconds; None when empty.

    >>> read_date("2025-11-21T10:00:00Z"), read_date("")
    (1763719200, None)
    """
    if not text:
        return None
    try:
        return int(parse_time(text).timestamp())
    except UnreadableTimeError:
        raise _invalid(
            "A time is not ISO 8601 with its zone.", "Write it like 2025-11-21T10:00:00Z."
        ) from None


def one_list(typed: Sequence[str], content: bytes | None) -> list[LineForm]:
    """Return the lines that were typed and those of a file."""
    return [*map(read_line, typed), *(read_lines(content) if content is not None else ())]


def _invalid(happened: str, remedy: str) -> SaleInvalidError:
    return SaleInvalidError(happened, not_done="Nothing was sent.", remedy=remedy)
