"""What CRM.COM's public documentation does not say about orders and we had to choose.

Each constant is one guess; a person with an account can confirm or correct it here, in one place.
"""

#: Path of the list of orders.
ORDERS_PATH = "orders"

#: Orders on one page; the documented maximum.
PAGE_SIZE = 100

#: Oldest first: what is placed while we read comes at the end and shifts nothing.
SORTING = {"order": "ASC"}

#: Where an order's members may be, newest spelling first. The contact's place is a guess: the
#: public shape of an order names no contact.
PATHS: dict[str, tuple[str, ...]] = {
    "number": ("number", "code"),
    "state": ("state", "life_cycle_state"),
    "contact_id": ("contact.id", "contact_id"),
    "contact_code": ("contact.code",),
    "organisation_id": ("fulfilled_by.id", "fullfilled_by.id"),
    "currency": ("currency", "currency_code"),
    "total": ("total", "total_cost"),
    "wallet_funds": ("wallet_funds", "wallet_funds_amount"),
    "submitted_at": ("submitted_date", "key_dates.submitted_on"),
    "completed_at": ("completed_date", "key_dates.completed_on"),
    "items": ("items", "order_items"),
}

#: Last segment of the error's name when there is no such order; it comes with 400 as well as 404.
NOT_FOUND_NAME = "NOTFOUND"

#: Times are epoch seconds. From here on a number can only be milliseconds.
FIRST_MILLISECONDS = 100_000_000_000
