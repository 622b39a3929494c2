"""What a code on a receipt says, so that a contact can claim the purchase with it. Pure.

The same four values stand in a different order: source, POS guide of CRM.COM, "Contact Reclaim
Purchases". The amount is the total times a hundred, whatever the currency.
"""

from dataclasses import dataclass

from crm_pipeline.pos.amounts import exponent
from crm_pipeline.pos.refusals import SaleInvalidError

SEPARATOR = ";"
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What both codes hold. ``total`` in the currency's smallest unit.

    ``merchant`` and ``venue`` are CRM.COM's numbers of the business and of the place.
    """

    number: str
    merchant: str
    venue: str
    total: int
    currency: str


def qr_text(receipt: Receipt) -> str:
    """Return what the QR code holds. Raises SaleInvalidError.

    >>> qr_text(Receipt(number="R-17", merchant="M1", venue="V2", total=1450, currency="AUD"))
    'R-17;M1;V2;1450'
    """
    parts = (receipt.number, receipt.merchant, receipt.venue)
    return SEPARATOR.join([*map(_checked, parts), _hundredfold(receipt)])


def barcode_text(receipt: Receipt) -> str:
    """Return what the barcode holds: the same in another order. Raises SaleInvalidError.

    >>> barcode_text(Receipt(number="R-17", merchant="M1", venue="V2", total=1450, currency="AUD"))
    'M1;R-17;1450;V2'
    """
    first, second, last = map(_checked, (receipt.merchant, receipt.number, receipt.venue))
    text = SEPARATOR.join([first, second, _hundredfold(receipt), last])
    if not text.isascii():
        raise _invalid("A barcode (Code 128) holds ASCII only.")
    return text


def _checked(part: str) -> str:
    if not part.strip() or SEPARATOR in part or not part.isprintable() or len(part) > _LONGEST:
        raise _invalid(
            f"A receipt's, merchant's or venue's number has 1 to {_LONGEST} printable characters"
            f" and no {SEPARATOR!r}, which separates them."
        )
    return part


def _hundredfold(receipt: Receipt) -> str:
    """Return the total times a hundred as a whole number."""
    whole, rest = divmod(receipt.total * 100, 10 ** exponent(receipt.currency))
    if rest or receipt.total < 0:
        raise _invalid("The total times a hundred is no whole number, as a code needs it.")
    return str(whole)


def _invalid(happened: str) -> SaleInvalidError:
    return SaleInvalidError(happened, not_done="No code was made.", remedy="Correct it.")
