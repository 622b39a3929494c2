"""From a page's bytes to rows: the fast way, with the careful way behind it.

Here: which way a page takes. Not here: the columns (``customers``), odd records (``odd_pages``).
"""

import msgspec

from crm_pipeline.core.ports import DecodedPage
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.loke.customers import Customer, count_members, to_batch
from crm_pipeline.sources.loke.odd_pages import OddPageError, read_odd_page

_PAGE = msgspec.json.Decoder(list[Customer])


def decode_customers(body: bytes) -> DecodedPage:
    """Turn a page of customers into typed columns; no value and no record is lost.

    Raises MalformedAnswerError when the page is not a JSON list, or says a thing twice.
    """
    decoded = _decode_regular(body)
    if decoded is not None:
        return decoded
    try:
        customers, extra, rejects = read_odd_page(body)
    except OddPageError as error:
        raise MalformedAnswerError(
            f"A page of customers {error.fault} ({len(body)} bytes).",
            not_done="None of its records was taken, and the watermark was not moved.",
            remedy="Run again; if it stays, ask the vendor or the owner of the proxy.",
        ) from None
    return DecodedPage(
        rows=to_batch(customers, extra),
        rejects=rejects,
        row_count=len(customers) + len(rejects),
    )


def _decode_regular(body: bytes) -> DecodedPage | None:
    """Decode a page that is exactly as documented; None for any other.

    A JSON decoder lets the last of two equal keys win. So the keys are counted: every ``":`` in
    the bytes ends one (or stands in a text, which also sends the page the careful way).
    """
    try:
        customers = _PAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    rows = to_batch(customers, None)
    if body.count(b'":') != count_members(rows, customers):
        return None
    return DecodedPage(rows=rows, rejects=(), row_count=len(customers))
