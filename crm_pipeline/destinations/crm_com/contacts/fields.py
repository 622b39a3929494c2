"""The fields of a contact, and which of them travel together.

Here: names and meanings. Not here: their place in a body (``bodies``).
"""

from crm_pipeline.core.ports import FieldSpec

CONTACT = "contact"

_CUSTOM_PREFIX = "custom."

_CUSTOM = {
    "loke_customer_id": "LOKE's id of the customer.",
    "loke_points_balance": "Points that can be spent now.",
    "loke_total_points_earned": "Points ever earned.",
    "loke_total_points_redeemed": "Points ever redeemed.",
    "loke_total_spend": "Money ever spent, decimal, tax included.",
    "loke_last_spent_at": "When money was last spent.",
    "loke_last_points_earned_at": "When points were last earned.",
    "loke_last_points_redeemed_at": "When points were last redeemed.",
    "loke_created_at": "When LOKE first knew the customer.",
    "loke_updated_at": "When the customer last changed at LOKE.",
    "sopost_identity": "SoPost's id of the person.",
    "sopost_last_order_id": "SoPost's id of the person's newest sample order.",
    "sopost_last_order_status": "How far that order is, in SoPost's words.",
    "sopost_last_activity_id": "SoPost's id of the activity that the order was given to.",
}

_ADDRESS = {
    "address_line_1": "Home address: street and number.",
    "address_line_2": "Home address: what else finds the door.",
    "town_city": "Home address: town or city.",
    "state_province_county": "Home address: state, province or county.",
    "postal_code": "Home address: postal code.",
    "address_country": "Home address: country, ISO 3166 alpha-3.",
}

#: Fields of the one address: they are sent together.
ADDRESS = tuple(_ADDRESS)

FIELDS: dict[str, FieldSpec] = {
    spec.name: spec
    for spec in (
        FieldSpec(name="first_name", type="text", description="First name; required."),
        FieldSpec(name="last_name", type="text", description="Last name; required."),
        FieldSpec(
            name="email",
            type="text",
            description="E-mail address; belongs to one contact only.",
            is_medium=True,
        ),
        FieldSpec(
            name="phone_country",
            type="text",
            description="Country of the phone number, ISO 3166 alpha-3.",
            is_medium=True,
        ),
        FieldSpec(
            name="phone_number",
            type="text",
            description="Phone number without the dialling code; belongs to one contact only.",
            is_medium=True,
        ),
        FieldSpec(name="date_of_birth", type="date", description="Date of birth."),
        FieldSpec(name="gender", type="text", description="FEMALE, MALE or OTHER."),
        *(
            FieldSpec(name=name, type="text", description=description)
            for name, description in _ADDRESS.items()
        ),
        FieldSpec(
            name="email_opt_out",
            type="flag",
            description="True: no marketing by e-mail. Always sent on create.",
            is_opt_out=True,
        ),
        FieldSpec(
            name="sms_opt_out",
            type="flag",
            description="True: no marketing by text message. Always sent on create.",
            is_opt_out=True,
        ),
        *(
            FieldSpec(name=f"{_CUSTOM_PREFIX}{key}", type="custom", description=description)
            for key, description in _CUSTOM.items()
        ),
    )
}

#: Fields of one medium: they are sent, withheld and compared together.
MEDIA: dict[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("phone_country", "phone_number"),
}

OPT_OUTS = ("email_opt_out", "sms_opt_out")


def custom_key(field: str) -> str | None:
    """Return a custom field's key at CRM.COM, or None for a field of CRM.COM's own.

    >>> custom_key("custom.loke_customer_id"), custom_key("email")
    ('loke_customer_id', None)
    """
    return field.removeprefix(_CUSTOM_PREFIX) if field.startswith(_CUSTOM_PREFIX) else None


def custom_field(key: str) -> str:
    """Return our name of a custom field."""
    return f"{_CUSTOM_PREFIX}{key}"
