"""What an operator types in the launchpad for a point of sale.

Run configuration is stored in clear: contacts by code or CRM id only, a one-time password by the
variable that holds it.
"""

import dagster as dg
from pydantic import Field

from crm_pipeline.core.purchases import Place

_CONTACT = (
    "The contact's code or CRM id. Never an e-mail address or a phone number: run configuration is"
    " kept in clear. `crm-pipeline pos identify` tells codes."
)
_REFERENCE = (
    "The receipt's number. Run it again with the same one after a failure: it is done once."
)


class PosConfig(dg.Config):
    """Whose point of sale."""

    organisation: str = Field(description="The organisation's slug.")


class IdentifyConfig(PosConfig):
    """Whom to look up."""

    contact: str = Field(description=_CONTACT)


class LineConfig(dg.Config):
    """One product that was sold."""

    sku: str = Field(description="Its SKU.")
    total: str = Field(description='For all pieces, tax included, as a decimal: "9.00".')
    quantity: str = Field(default="1", description='How many: "2", "0.5".')
    tax: str = Field(default="", description="Tax in the total; empty: by the file's tax rate.")
    name: str = Field(default="", description="Its name.")


class PlaceConfig(PosConfig):
    """Where it happened; both empty: the organisation that the key belongs to."""

    place_organisation: str = Field(default="", description="CRM.COM's id of the place of sale.")
    place_tap: str = Field(default="", description="Code of the terminal (TAP), instead.")

    def place(self) -> Place:
        """Return the place that was named."""
        if self.place_organisation:
            return Place(organisation_id=self.place_organisation)
        return Place(tap_code=self.place_tap or None)


class SaleConfig(PlaceConfig):
    """One sale."""

    reference: str = Field(description=_REFERENCE)
    lines: list[LineConfig] = Field(description="What was sold.")
    contact: str = Field(default="", description=f"{_CONTACT} Empty: nobody's, to be claimed.")
    spend: str = Field(default="", description='To be paid from the wallet: "5.00".')
    cover_all: bool = Field(default=False, description="No purchase unless all of it is covered.")
    otp_env: str = Field(
        default="",
        description="Name of the variable that holds the contact's one-time password, such as"
        " POS_OTP. Never the password.",
    )
    currency: str = Field(default="", description="ISO 4217; empty: the organisation's.")
    classification: str = Field(default="POS", description="The purchase's class.")
    date: int = Field(default=0, ge=0, description="Epoch seconds; 0: now.")


class VoidConfig(PosConfig):
    """Which purchase to cancel: one of the two."""

    reference: str = Field(default="", description="The reference that it was posted under.")
    purchase_id: str = Field(default="", description="CRM.COM's id of it, instead.")


class ReturnConfig(PlaceConfig):
    """Goods that came back."""

    reference: str = Field(description=_REFERENCE)
    amount: str = Field(description='Worth of the goods in all: "9.00".')
    contact: str = Field(default="", description=f"{_CONTACT} Empty: nobody's.")
    currency: str = Field(default="", description="ISO 4217; empty: the organisation's.")


class CompleteConfig(PosConfig):
    """Which order is done."""

    order_id: str = Field(description="CRM.COM's id of the order.")
    is_forced: bool = Field(
        default=False,
        description="Although it was posted as a purchase: the same sale is awarded twice.",
    )


class CancelConfig(PosConfig):
    """Which order is not done, and why."""

    order_id: str = Field(description="CRM.COM's id of the order.")
    reason: str = Field(description="One of CRM.COM's cancellation reasons, by name or id.")


class CodesConfig(PosConfig):
    """What stands on a receipt."""

    receipt: str = Field(description="The receipt's number.")
    merchant: str = Field(description="CRM.COM's number of the business.")
    venue: str = Field(description="CRM.COM's number of the place.")
    amount: str = Field(description='The total that was paid: "14.50".')
    currency: str = Field(default="", description="ISO 4217; empty: the organisation's.")
