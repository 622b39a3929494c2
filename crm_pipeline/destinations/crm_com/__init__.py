"""CRM.COM (back-office API, second generation) as a destination: contacts.

Here: limits, field names, bodies, what an error means. Not here: order, rate, retries of writes
and what to do with an unknown outcome (``sync.apply``).
"""

from crm_pipeline.core.ports import DestinationSpec, ObjectKind
from crm_pipeline.core.records import Limits
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.destinations.crm_com.catalogue import CONTACT, FIELDS
from crm_pipeline.destinations.crm_com.comparing import is_same

DESTINATION = DestinationSpec(
    name="crm_com",
    title="CRM.COM",
    documentation_url="https://speca.io/CRM/pos-and-ecommerce-systems",
    kinds=(
        ObjectKind(
            name=CONTACT,
            table="desired/contacts",
            title="Contacts",
            fields=FIELDS,
            calls_for={"create": 1, "update": 1, "archive": 1},
        ),
    ),
    default_limits=Limits(calls_per_second=20.0, concurrency=6),
    connect=CrmComApi,
    is_same=is_same,
)
