"""CRM.COM (back-office API, second generation) as a destination.

Products, contacts, memberships (tags), purchases and refunds, in the order in which they must be
sent: a purchase makes unknown products up, and names a contact.

Here: limits, field names, bodies, what an error means. Not here: order, rate, retries of writes
and what to do with an unknown outcome (``sync.apply``).
"""

from crm_pipeline.core.ports import DestinationSpec
from crm_pipeline.core.records import Limits
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.contacts.kind import CONTACTS
from crm_pipeline.destinations.crm_com.memberships.fields import MEMBERSHIPS
from crm_pipeline.destinations.crm_com.products.fields import PRODUCTS
from crm_pipeline.destinations.crm_com.purchases.fields import PURCHASES, REFUNDS

DESTINATION = DestinationSpec(
    name="crm_com",
    title="CRM.COM",
    documentation_url="https://speca.io/CRM/pos-and-ecommerce-systems",
    kinds=(PRODUCTS, CONTACTS, MEMBERSHIPS, PURCHASES, REFUNDS),
    default_limits=Limits(calls_per_second=20.0, concurrency=6),
    connect=CrmComApi,
    is_same=is_same,
)
