"""What a sandbox can be told before it starts.

Here: settings and organisations, as values. Not here: running (``running``) or switches that
change while the sandbox runs (``POST /_sandbox/switches``).
"""

import dataclasses
import datetime as dt
import re
import uuid
from collections.abc import Callable
from typing import Literal

#: Custom fields that the fake CRM.COM knows from the start; any other key is refused.
DEFAULT_CUSTOM_FIELDS = (
    "loke_customer_id",
    "loke_points_balance",
    "loke_total_points_earned",
    "loke_total_points_redeemed",
    "loke_total_spend",
    "loke_last_spent_at",
    "loke_last_points_earned_at",
    "loke_last_points_redeemed_at",
    "loke_created_at",
    "loke_updated_at",
    "sopost_identity",
    "sopost_last_order_id",
    "sopost_last_order_status",
    "sopost_last_activity_id",
    # The answer to a question of a sample order, as the demo's organisations map it.
    "sopost_skin_type",
)

#: Tags that the fake CRM.COM knows from the start; there is no call that makes a new one.
DEFAULT_TAGS = ("LOKE: Loyal Customers", "LOKE: VIP breakfast", "Newsletter")

#: Customer lists of the demo's organisations; a mapping may give each the tag of that name.
DEMO_LISTS = ("Loyal Customers", "VIP breakfast")


#: Ids at the fake SoPost are made from it, so that files can name them.
_SOPOST_IDS = uuid.UUID("5a0b9c1d-2e3f-4a5b-8c6d-7e8f9a0b1c2d")


def sopost_uuid(*names: object) -> str:
    """Return the id of a thing at the fake SoPost: the same for the same names, for ever.

    >>> sopost_uuid("01HSANDB0XHARB0VRC0FFEE001", "organisation")
    '91326740-8e7f-596e-b8c6-27f0c02c379a'
    """
    return str(uuid.uuid5(_SOPOST_IDS, "/".join(map(str, names))))


def utc_now() -> dt.datetime:
    """Return the wall clock, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOrganisation:
    """One tenant: its people at LOKE, its keys at CRM.COM, its two ids at SoPost."""

    id: str
    name: str
    customers: int = 0
    #: Payments at LOKE that exist from the start; about half of them pay for an order.
    payments: int = 0
    #: Names of customer lists at LOKE that exist from the start, with some members each.
    lists: tuple[str, ...] = ()
    slug: str = ""
    currency: str = "AUD"
    timezone: str = "Australia/Melbourne"
    crm_test_key: str = ""
    crm_live_key: str = ""
    #: Reads what the test key reads, is refused (403) when it writes.
    crm_read_only_key: str = ""
    sopost_id: str = ""
    sopost_campaign_id: str = ""

    def __post_init__(self) -> None:
        """Fill what was left empty from the name or the id."""
        slug = self.slug or re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        for field, value in (
            ("slug", slug),
            ("crm_test_key", self.crm_test_key or f"crm_test_{slug}"),
            ("crm_live_key", self.crm_live_key or f"crm_live_{slug}"),
            ("crm_read_only_key", self.crm_read_only_key or f"crm_read_{slug}"),
            ("sopost_id", self.sopost_id or sopost_uuid(self.id, "organisation")),
            ("sopost_campaign_id", self.sopost_campaign_id or sopost_uuid(self.id, "campaign")),
        ):
            object.__setattr__(self, field, value)


def demo_organisations() -> tuple[SandboxOrganisation, ...]:
    """Return a small, a middle and a large organisation.

    >>> [(each.slug, each.customers, len(each.id)) for each in demo_organisations()]
    [('harbour-coffee', 50, 26), ('northside-bakery', 5000, 26), ('metro-sushi', 100000, 26)]
    """
    return (
        SandboxOrganisation(
            id="01HSANDB0XHARB0VRC0FFEE001",
            name="Harbour Coffee",
            customers=50,
            payments=30,
            lists=DEMO_LISTS,
        ),
        SandboxOrganisation(
            id="01HSANDB0XN0RTHS1DEBAKE002",
            name="Northside Bakery",
            customers=5_000,
            payments=500,
            lists=DEMO_LISTS,
            currency="NZD",
            timezone="Pacific/Auckland",
        ),
        SandboxOrganisation(
            id="01HSANDB0XMETR0SVSH1000003",
            name="Metro Sushi",
            customers=100_000,
            payments=2_000,
            lists=DEMO_LISTS,
            currency="SGD",
            timezone="Asia/Singapore",
        ),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How to run the sandbox. Port 0 means: pick a free one."""

    organisations: tuple[SandboxOrganisation, ...] = dataclasses.field(
        default_factory=demo_organisations
    )
    host: str = "127.0.0.1"
    loke_port: int = 0
    crm_com_port: int = 0
    sopost_port: int = 0
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"
    sopost_user_id: str = "sandbox-user"
    sopost_password: str = "sandbox-password"
    token_life_seconds: int = 3600
    page_size: int = 1000
    clock: Callable[[], dt.datetime] = utc_now
    seed: int = 7
    #: Build every customer page as bytes at the start, so that a benchmark measures the client.
    preserialise: bool = False
    next_link: Literal["relative", "absolute"] = "relative"
    cursor: Literal["key", "offset"] = "key"
    gzip: bool = False
    not_found_status: Literal[400, 404] = 400
    custom_fields: tuple[str, ...] = DEFAULT_CUSTOM_FIELDS
    tags: tuple[str, ...] = DEFAULT_TAGS
    #: How many requests the log keeps one by one; the counters count all of them.
    log_size: int = 20_000
