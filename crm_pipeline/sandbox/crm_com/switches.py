"""What may be changed while the fake CRM.COM runs: everything that the vendor leaves open.

Here: names and defaults. Where a choice can hurt a client, the default is the one that hurts.
"""

from decimal import Decimal
from typing import Literal

import msgspec


class CrmComSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All switches of both generations that share this server's data."""

    not_found_status: Literal[400, 404] = 400
    #: Which name of the e-mail address a body may use; the vendor's sources disagree.
    email_field: Literal["both", "email_address", "email"] = "both"
    #: What PUT tags does with tags that a contact already has.
    tags_mode: Literal["replace", "add"] = "replace"
    gzip: bool = False
    #: What a second purchase or return with the same reference number does.
    duplicate_reference: Literal["accept", "refuse", "first"] = "accept"
    #: Whether the id in the body of a purchase becomes its id. Never when it is taken.
    purchase_id: Literal["honoured", "ignored"] = "honoured"
    #: The same for an ad hoc return, in whose body no source shows one.
    return_id: Literal["ignored", "honoured"] = "ignored"
    #: Under which name the time of a purchase is understood; otherwise it is now.
    purchase_date: Literal["both", "date", "performed_on"] = "both"
    #: What ``search_value`` does in ``GET /purchases``, which no source documents.
    purchase_search: Literal["contains", "exact", "ignored"] = "contains"
    #: How long a new purchase is missing from lists; it can be read by its id.
    purchase_lag_seconds: float = 0
    #: Which id ``POST /purchases/{id}/cancel`` takes; the vendor's sources disagree.
    cancel_by: Literal["both", "id", "reference_number"] = "both"
    #: Whether the lines of a purchase must add up to its total.
    line_sum: Literal["checked", "free"] = "checked"
    zero_total: Literal["accepted", "refused"] = "accepted"
    #: Whether ad hoc returns stand among the purchases.
    are_returns_listed: bool = True
    #: What a purchase or a completed order gives, of its total, into the wallet.
    award_percentage: Decimal = Decimal(5)
    #: Names of classifications that no reward offer covers.
    unrewarded_classifications: tuple[str, ...] = ()
    #: What one major unit of a foreign currency is worth in the business's own; 1 if not named.
    exchange_rates: dict[str, Decimal] = msgspec.field(default_factory=dict)

    #: How many times a synchronisation answers that it is not done yet, or products are read
    #: before it shows in them.
    process_polls: int = 1
    #: How a synchronisation ends; ``failed`` changes nothing.
    process_end: Literal["completed", "failed", "never"] = "completed"
    #: Whether ``GET /processes/{id}`` exists.
    is_process_shown: bool = True
    #: The name of the process id in the answer to ``POST /synchronise_products``.
    process_id_name: Literal["id", "process_id"] = "id"
    #: What null does to a member of a product that is there.
    product_null: Literal["clears", "kept"] = "clears"
    #: SKUs that a synchronisation refuses, each for itself.
    failing_skus: tuple[str, ...] = ()
    #: The names of members of an order; the vendor's own examples still show the old ones.
    order_form: Literal["new", "old"] = "new"
    #: Whether an order names its contact, which no source shows.
    is_order_contact_shown: bool = True

    @property
    def email_fields(self) -> tuple[str, ...]:
        """Return the accepted names, the stronger last."""
        return ("email", "email_address") if self.email_field == "both" else (self.email_field,)
