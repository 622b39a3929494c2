"""Codes on receipts as pictures: QR code and Code 128, as SVG and PNG."""

import io
from typing import Literal

import segno
from barcode import Code128
from barcode.writer import ImageWriter, SVGWriter

Form = Literal["svg", "png"]

#: Error correction that survives a creased receipt (15 %), and pixels a module.
_CORRECTION = "m"
_SCALE = 6
#: Millimetres a module, and around: what scanners at a till read.
_WRITING = {"module_width": 0.25, "module_height": 15.0, "quiet_zone": 6.5, "font_size": 8}


def qr_image(text: str, form: Form) -> bytes:
    """Return a QR code as a file of a form."""
    written = io.BytesIO()
    # A micro code is smaller, and most scanners of phones do not know it.
    segno.make_qr(text, error=_CORRECTION).save(written, kind=form, scale=_SCALE, border=4)
    return written.getvalue()


def barcode_image(text: str, form: Form) -> bytes:
    """Return a Code 128 barcode as a file of a form, its text below."""
    written = io.BytesIO()
    writer = SVGWriter() if form == "svg" else ImageWriter()
    Code128(text, writer=writer).write(written, options=dict(_WRITING))
    return written.getvalue()
