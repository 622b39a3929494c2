"""What can go wrong at a point of sale, by what to do next.

Messages name references, ids and amounts; never a contact's data, a password or a pass code.
"""

from crm_pipeline.errors import ConfigurationError, DataError, TryLaterError


class SaleInvalidError(ConfigurationError):
    """What was asked for contradicts itself or cannot be sent; nothing was sent."""

    code = "sale_invalid"


class ContactUnknownError(DataError):
    """Nobody, or nobody for sure, is identified by what was given."""

    code = "contact_unknown"


class OtpRefusedError(DataError):
    """The one-time password is wrong, used, too old, or another contact's."""

    code = "otp_refused"


class WalletTooSmallError(DataError):
    """The wallet does not cover a spend that had to be covered in full."""

    code = "wallet_too_small"


class ReferenceTakenError(DataError):
    """Something else was done under this reference."""

    code = "reference_taken"


class PurchaseUnknownError(DataError):
    """CRM.COM has no such purchase, or several that cannot be told apart."""

    code = "purchase_unknown"


class PosRefusedError(DataError):
    """CRM.COM refused it for a reason of its own."""

    code = "pos_refused"


class OrderUnknownError(DataError):
    """CRM.COM has no such order."""

    code = "order_unknown"


class OrderGuardedError(DataError):
    """Doing it would count the same thing twice, or the order's state does not allow it."""

    code = "order_guarded"


class OutcomeUnknownError(TryLaterError):
    """It was sent, no answer came, and it cannot be seen: it may have been done."""

    code = "outcome_unknown"
