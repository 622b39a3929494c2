"""What is not known of CRM.COM's classic Web API and we had to choose.

Each constant is one guess; a person with an account can confirm or correct it here, in one place.
"""

#: What ``status.code`` says of a token that is missing, unknown or over. HTTP 401 says it as well.
#: Never matched by a part: an "access token" is a means of identification there.
TOKEN_REFUSED_CODES = frozenset(
    {
        "INVALID_TOKEN",
        "EXPIRED_TOKEN",
        "TOKEN_EXPIRED",
        "TOKEN_INVALID",
        "TOKEN_MISSING",
        "UNAUTHORISED",
        "UNAUTHORIZED",
    }
)

#: The same of a user who may not do this. HTTP 403 says it as well.
ACCESS_REFUSED_CODES = frozenset({"ACCESS_DENIED", "FORBIDDEN", "PERMISSION_DENIED"})

#: What the error code of a product's row contains when the product exists and is not updated.
EXISTS_WORDS = ("ALREADY_EXISTS", "ALREADYEXISTS", "DUPLICATE")

#: Array of products in ``products/synchronise``.
PRODUCTS_MEMBER = "products_set"

#: Array of lines in ``customer_events/purchases/create`` (seen in its answer).
LINES_MEMBER = "products_set"

#: Array of purchases in ``customer_events/bulk/purchases/create``.
PURCHASES_MEMBER = "purchase_customer_events_set"

#: Rows asked for on one page of a list. A page that is shorter is the last one.
PAGE_SIZE = 100

#: The most that one call may carry; documented for both.
MOST_PRODUCTS = 1_000
MOST_PURCHASES = 1_000

#: A token of at most this length is one from before release 12; later ones are JWTs.
LONGEST_IDLE_TOKEN = 32

#: How long the two kinds live, in seconds: without use, and from their making (documented).
IDLE_LIFE_SECONDS = 3_600.0
ABSOLUTE_LIFE_SECONDS = 7_200.0

#: How a person is found in a purchase: accepted before and after release 17.
PAYER_ENTITY = "receivable"

#: Times carry no zone: they are the unit's local time. Without a setting we take this zone.
TIME_ZONE = "UTC"

#: What we are called at CRM.COM as the outside system of a purchase.
EXTERNAL_SYSTEM = "crm-pipeline"

#: Classification by which our purchases can be listed when their person is not known.
CLASSIFICATION = "LOKE"

#: By what a setting without a key names a unit and a synchronisation definition.
UNIT_KEY = "name"
DEFINITION_KEY = "code"

#: What a purchase says about itself once it was cancelled.
CANCELLED = "CANCELLED"
