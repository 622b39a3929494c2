"""CRM.COM, first generation ("classic" Web API), as a destination: products and purchases.

It has no contacts of ours: a purchase names its customer by what the customer shows (a phone
number, an e-mail address, a card). ``client.ClassicClient`` is the whole Web API for people and
points of sale, ``closing`` the arithmetic at the till.

Here: limits, fields, bodies, what an answer means. Not here: order, rate, retries of writes and
what to do with an unknown outcome (``sync.apply``).
"""

from crm_pipeline.core.ports import DestinationSpec
from crm_pipeline.core.records import Limits
from crm_pipeline.destinations.crm_com_classic.api import ClassicApi
from crm_pipeline.destinations.crm_com_classic.catalogue import PRODUCTS, PURCHASES, REFUNDS
from crm_pipeline.destinations.crm_com_classic.comparing import is_same

DESTINATION = DestinationSpec(
    name="crm_com_classic",
    title="CRM.COM classic",
    documentation_url="https://crmdevelopment.atlassian.net/wiki/spaces/V4Development/pages/490268/Introduction",
    kinds=(PRODUCTS, PURCHASES, REFUNDS),
    default_limits=Limits(calls_per_second=10.0, concurrency=4),
    connect=ClassicApi,
    is_same=is_same,
)
