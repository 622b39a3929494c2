"""What we had to guess about SoPost's API, each in one place.

SoPost's reference stands behind a login; the public article names endpoints without their paths.
Each guess has its row, and the question that would settle it, in ``docs/vendor-assumptions.md``.
"""

#: The one type of event that can be subscribed to (documented).
EVENT = "OrderEvent"

#: Paths below the base URL. That the first three exist is documented, the paths are not.
WEBHOOKS_PATH = "/webhooks"
ORGANISATIONS_PATH = "/organisations"
CAMPAIGNS_PATH = "/campaigns"
ORDERS_PATH = "/orders"
ACTIVITIES_PATH = "/activities"

#: Where the things of each kind that can be subscribed to are listed.
ENTITY_PATHS = {"Organisation": ORGANISATIONS_PATH, "Campaign": CAMPAIGNS_PATH}

#: An activity names its campaign, a campaign its organisation, by these members.
CAMPAIGN_MEMBER = "campaign_id"
ORGANISATION_MEMBER = "organisation_id"

#: What an order that does not exist (or not yet) answers.
UNKNOWN_STATUSES = frozenset({404, 410})
#: What an order answers that we may not see, perhaps only not yet.
FORBIDDEN_STATUS = 403

#: The last states of an order. DELIVERED is a guess, that nothing follows REJECTED as well.
FINAL_STATES = frozenset({"DELIVERED", "REJECTED"})
