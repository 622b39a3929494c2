"""From a page's bytes to rows: the fast way, with the careful way behind it.

Here: which way a page takes. Not here: the columns (each dataset's module), and how nothing gets
lost (``core.lossless``).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa

from crm_pipeline.core.lossless import (
    RegularPages,
    Rule,
    UnreadableError,
    take_all,
    to_columns,
)
from crm_pipeline.core.ports import DatasetSpec, DecodedPage, Page
from crm_pipeline.core.records import Reject
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.loke import customers, members, orders, payments

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPage(Page):
    """A page that may be of one part of a dataset: ``part`` is the id of its list or location."""

    part: str


def part_page(
    body: bytes, next_link: str | None = None, *, server_date: dt.datetime | None, part: str = ""
) -> PartPage:
    """Return these bytes as a page."""
    return PartPage(
        body=body,
        next_link=next_link,
        server_date=server_date,
        digest=blake2b(body, digest_size=16).hexdigest(),
        part=part,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How one dataset is decoded. ``regular`` is its fast way, where it has one."""

    spec: DatasetSpec
    rules: Sequence[Rule]
    derive: Callable[[Columns, str], Columns]
    regular: RegularPages | None = None
    needs_part: bool = False


_SHAPES = {
    shape.spec.name: shape
    for shape in (
        _Shape(spec=customers.CUSTOMERS, rules=customers.RULES, derive=lambda _columns, _part: {}),
        _Shape(
            spec=payments.PAYMENTS,
            rules=payments.RULES,
            derive=payments.derive,
            regular=RegularPages(payments.RULES),
        ),
        _Shape(
            spec=members.LIST_MEMBERS,
            rules=members.RULES,
            derive=members.derive,
            regular=RegularPages(members.RULES),
            needs_part=True,
        ),
        _Shape(spec=orders.ORDERS, rules=orders.RULES, derive=orders.derive),
    )
}
DATASETS: Mapping[str, DatasetSpec] = {name: shape.spec for name, shape in _SHAPES.items()}


def decode_page(dataset: str, page: Page) -> DecodedPage:
    """Turn one page of a dataset into typed columns; no value and no record is lost.

    Members of a list are of the list that their page (``PartPage``) names, orders of its location
    where they do not name one themselves. Raises MalformedAnswerError when the page is not a JSON
    list, or says a thing twice.
    """
    if dataset == customers.CUSTOMERS.name:
        return decode_customers(page.body)
    shape = _SHAPES[dataset]
    part = page.part if isinstance(page, PartPage) else ""
    if shape.needs_part and not part:
        raise ValueError(f"a page of {dataset} must say of which list it is")
    columns = shape.regular.columns(page.body) if shape.regular else None
    if columns is not None:
        return DecodedPage(
            rows=_to_batch(shape, columns, part), rejects=(), row_count=len(columns["extra"])
        )
    return _decode_carefully(shape, page.body, part)


def decode_customers(body: bytes) -> DecodedPage:
    """Turn a page of customers into typed columns; see ``decode_page``."""
    rows = customers.read_regular(body)
    if rows is not None:
        return DecodedPage(rows=rows, rejects=(), row_count=rows.num_rows)
    return _decode_carefully(_SHAPES[customers.CUSTOMERS.name], body, "")


def _decode_carefully(shape: _Shape, body: bytes, part: str) -> DecodedPage:
    rejects: tuple[Reject, ...]
    try:
        takens, rejects = take_all(body, shape.rules, shape.spec.name)
        columns = to_columns(takens, shape.rules)
    except UnreadableError as error:
        raise MalformedAnswerError(
            f"A page of {shape.spec.name} {error.fault} ({len(body)} bytes).",
            not_done="None of its records was taken, and the watermark was not moved.",
            remedy="Run again; if it stays, ask the vendor or the owner of the proxy.",
        ) from None
    return DecodedPage(
        rows=_to_batch(shape, columns, part),
        rejects=rejects,
        row_count=len(takens) + len(rejects),
    )


def _to_batch(shape: _Shape, columns: Columns, part: str) -> pa.RecordBatch:
    whole = {**columns, **shape.derive(columns, part)}
    schema = shape.spec.schema
    return pa.RecordBatch.from_arrays([whole[name] for name in schema.names], schema=schema)
