"""The formats of a catalogue's file: CSV, JSON and Parquet become the same rows.

Here: bytes to rows with their lines. Not here: what makes a row usable (``products``), but for what
only the whole file can tell: a SKU that stands twice.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.core.lossless import (
    UnreadableError,
    is_usable_id,
    join_members,
    load_strictly,
    members_of,
    records_of,
)
from crm_pipeline.errors import ConfigurationError, MalformedAnswerError
from crm_pipeline.sources.catalogue.products import KNOWN_NAMES, PAGE_ROWS, encode_page

#: A row: where it stands, its JSON, and a fault or nothing.
_Row = tuple[str, bytes, str]

_DELIMITERS = (",", ";", "\t")

#: Cells beyond this are no texts of a product.
_LONGEST_CELL = 1_000_000


def format_of(location_path: str, chosen: str) -> str:
    """Return the format chosen, else the one that a path's ending names.

    Raises ConfigurationError when neither names one that we know.
    """
    name = chosen or location_path.rpartition(".")[2].lower()
    if name not in _READERS:
        raise ConfigurationError(
            "The catalogue's file has an ending that names no known format.",
            not_done="It was not read.",
            remedy=f"Set the source's `format` to one of {', '.join(sorted(_READERS))}.",
        )
    return name


def pages_of(body: bytes, file_format: str) -> list[bytes]:
    """Return a whole file as the bodies of its pages; at least one.

    Raises MalformedAnswerError when the file as a whole is not what its format says.
    """
    try:
        entries = _marked(_READERS[file_format](body))
        pages = [encode_page(page) for page in iter(lambda: list(islice(entries, PAGE_ROWS)), [])]
    except UnreadableError as error:
        raise MalformedAnswerError(
            f"The catalogue's file {error.fault} ({file_format}, {len(body)} bytes).",
            not_done="None of its rows was taken.",
            remedy="Correct the file or the source's `format`, then run again.",
        ) from None
    return pages or [encode_page([])]


def _marked(rows: Iterator[_Row]) -> Iterator[tuple[str, str, bytes]]:
    """Add the faults that concern a row's SKU: none, or one that stood further up."""
    seen: set[str] = set()
    for place, came, fault in rows:
        value = None if fault else load_strictly(came)
        if not isinstance(value, dict):
            yield place, fault or "record_unreadable", came
            continue
        text = _renamed(value, came)
        sku = load_strictly(text).get("sku")
        if not isinstance(sku, str) or not is_usable_id(sku):
            yield place, "record_without_id", text
            continue
        yield place, "duplicate_id" if sku in seen else "", text
        seen.add(sku)


def _renamed(value: Mapping[str, Any], text: bytes) -> bytes:
    """Return a record with known members under their own names, a numeric SKU as a text."""
    members = members_of(text, value)
    named: dict[str, bytes] = {}
    for name, raw in members.items():
        plain = _plain(name)
        is_ours = plain in KNOWN_NAMES and (plain == name or plain not in members)
        target = plain if is_ours and plain not in named else name
        is_number = target == "sku" and type(value[name]) is int
        named[target] = b'"%d"' % value[name] if is_number else raw
    return join_members(named)


def _plain(name: str) -> str:
    """Return a header as it may name a column of ours.

    >>> _plain(" Tax Rate")
    'tax_rate'
    """
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _csv_rows(body: bytes) -> Iterator[_Row]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("is not in UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        headers = [header.strip() for header in next(reader, [])]
        _check_headers(headers)
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _csv_row(line, headers, cells)
            line = reader.line_num + 1
    except csv.Error:
        raise UnreadableError(f"is no CSV at line {reader.line_num}") from None


def _csv_row(line: int, headers: Sequence[str], cells: Sequence[str]) -> _Row:
    if len(cells) > len(headers):
        return f"Line {line}", msgspec.json.encode(cells), "record_unreadable"
    pairs = zip(headers, (cell.strip() for cell in cells), strict=False)
    return f"Line {line}", msgspec.json.encode({name: cell for name, cell in pairs if cell}), ""


def _json_rows(body: bytes) -> Iterator[_Row]:
    for number, (_value, text) in enumerate(records_of(body), start=1):
        yield f"Record {number}", text, ""


def _parquet_rows(body: bytes) -> Iterator[_Row]:
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        _check_headers(file.schema_arrow.names)
        number = 0
        for batch in file.iter_batches(batch_size=PAGE_ROWS):
            for record in batch.to_pylist():
                number += 1
                held = {name: value for name, value in record.items() if value is not None}
                yield f"Record {number}", msgspec.json.encode(held, enc_hook=str), ""
    except (pa.ArrowException, OSError):
        raise UnreadableError("is no Parquet") from None


def _check_headers(headers: Sequence[str]) -> None:
    if len(set(headers)) != len(headers):
        raise UnreadableError("gives a column twice")
    if "sku" not in {_plain(header) for header in headers}:
        raise UnreadableError("has no column `sku`")


_READERS: Mapping[str, Callable[[bytes], Iterator[_Row]]] = {
    "csv": _csv_rows,
    "json": _json_rows,
    "parquet": _parquet_rows,
}
