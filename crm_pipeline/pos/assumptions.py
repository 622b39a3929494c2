"""What CRM.COM's public documentation does not say about a point of sale and we had to choose.

Each constant is one guess; a person with an account can confirm or correct it here, in one place.
What purchases in general are taken to be is in ``destinations.crm_com.assumptions``.
"""

#: Path of wallets, by id or by code.
WALLETS_PATH = "wallets"

#: Path of orders, its part that does something, and the reasons for a cancellation.
ORDERS_PATH = "orders"
ACTIONS_PATH = "actions"
REASONS_PATH = "order_cancellation_reasons"

#: Path of a contact's loyalty numbers, below the contact.
LOYALTY_PATH = "loyalty_identifiers"

#: The member of ``contact`` that takes a one-time password, and a pass code as well.
OTP_MEMBER = "otp"

#: Filters of the list of contacts, by means of identification. A loyalty number is a medium.
FILTERS = {
    "email": "email_address",
    "phone": "phone_number",
    "cim": "cim",
    "loyalty": "cim",
}

#: Parts of error names, in upper case, that say "the wallet does not hold enough".
NOT_ENOUGH_NAMES = ("NOTENOUGH", "INSUFFICIENT")

#: What the first parameter of a refusal calls a one-time password.
OTP_WORDS = ("otp", "pass_code", "passcode")

#: The states of an order after which nothing happens to it. Completing one makes CRM.COM award.
COMPLETED = "COMPLETED"
CANCELLED = "CANCELLED"

#: Orders on one page; the documented maximum.
PAGE_SIZE = 100
