"""Codes on receipts: the documented order, and pictures that a scanner reads."""

import re
import struct
import zlib

import pytest
import segno
from barcode.charsets import code128

from crm_pipeline.pos.codes import Receipt, barcode_text, qr_text
from crm_pipeline.pos.images import barcode_image, qr_image
from crm_pipeline.pos.refusals import SaleInvalidError


def receipt(**more: object) -> Receipt:
    wanted = {
        "number": "R-17", "merchant": "M1", "venue": "V2", "total": 1450, "currency": "AUD", **more,
    }  # fmt: skip
    return Receipt(**wanted)  # type: ignore[arg-type]


def test_the_two_codes_hold_the_same_values_in_different_orders() -> None:
    assert qr_text(receipt()) == "R-17;M1;V2;1450"
    assert barcode_text(receipt()) == "M1;R-17;1450;V2"


@pytest.mark.parametrize(
    ("total", "currency", "hundredfold"),
    [(0, "AUD", "0"), (5, "AUD", "5"), (1450, "JPY", "145000"), (1450, "KWD", "145")],
)
def test_the_amount_is_the_total_times_a_hundred_in_every_currency(
    total: int, currency: str, hundredfold: str
) -> None:
    assert qr_text(receipt(total=total, currency=currency)).endswith(f";{hundredfold}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "R;17"},
        {"merchant": "M;1"},
        {"venue": ";"},
        {"venue": ""},
        {"number": " "},
        {"number": "R\n17"},
        {"merchant": "M" * 61},
        {"total": -1},
        {"total": 1455, "currency": "KWD"},
        {"currency": "XX"},
    ],
)
def test_what_would_shift_or_hide_a_value_is_refused(wrong: dict[str, object]) -> None:
    for text_of in (qr_text, barcode_text):
        with pytest.raises(SaleInvalidError):
            text_of(receipt(**wrong))


def test_a_barcode_holds_ascii_only_while_a_qr_code_holds_every_letter() -> None:
    assert qr_text(receipt(venue="Zürich")) == "R-17;M1;Zürich;1450"
    with pytest.raises(SaleInvalidError, match="ASCII"):
        barcode_text(receipt(venue="Zürich"))


def decoded(modules: str) -> str:
    """Read the modules of a Code 128 barcode back, its check character included."""
    patterns = {each: number for number, each in enumerate(code128.CODES)}
    *values, check = (patterns[modules[at : at + 11]] for at in range(0, len(modules) - 13, 11))
    assert modules.endswith(f"{code128.STOP}11")
    weighted = values[0] + sum(place * value for place, value in enumerate(values[1:], 1))
    assert weighted % 103 == check
    charset, text = {103: "A", 104: "B", 105: "C"}[values[0]], ""
    switches = {"A": {100: "B", 99: "C"}, "B": {101: "A", 99: "C"}, "C": {101: "A", 100: "B"}}
    for value in values[1:]:
        if value in switches[charset]:
            charset = switches[charset][value]
        else:
            text += f"{value:02}" if charset == "C" else chr(value + 32)
    return text


def test_a_barcode_says_what_it_was_made_from() -> None:
    picture = barcode_image("M1;R-17;145099;V2", "svg").decode()
    bars = re.findall(
        r'<rect x="([\d.]+)mm" y="[\d.]+mm" width="([\d.]+)mm"[^>]*fill:black', picture
    )
    left = float(bars[0][0])
    modules: list[str] = []
    for x, width in bars:
        start = round((float(x) - left) / 0.25)
        modules += ["0"] * (start - len(modules)) + ["1"] * round(float(width) / 0.25)
    assert decoded("".join(modules)) == "M1;R-17;145099;V2"


def size_of(png: bytes) -> tuple[int, int]:
    """Return the size of a whole PNG, its checksums proven."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, kinds = 8, []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunk = png[at + 4 : at + 8 + length]
        assert zlib.crc32(chunk) == struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0]
        kinds.append(chunk[:4])
        at += 12 + length
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_pictures_are_whole_files_with_room_around_the_code() -> None:
    text = "R-17;M1;V2;1450"
    modules = segno.make_qr(text, error="m").symbol_size(scale=6, border=4)
    assert size_of(qr_image(text, "png")) == modules
    width, height = size_of(barcode_image("M1;R-17;1450;V2", "png"))
    assert width > 2 * height / 1.5 > 0
    assert b"<svg" in qr_image(text, "svg")


def test_the_same_text_gives_the_same_picture() -> None:
    for form in ("svg", "png"):
        assert qr_image("A;B;C;1", form) == qr_image("A;B;C;1", form)  # type: ignore[arg-type]
        assert barcode_image("A;B;1;C", form) == barcode_image("A;B;1;C", form)  # type: ignore[arg-type]
