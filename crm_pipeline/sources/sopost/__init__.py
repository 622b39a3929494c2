"""SoPost as a source: sample orders, read one by one as webhooks name them.

Here: paths, shapes, columns, subscriptions. Not here: when an order is read again (``sync``), and
what an order becomes in a CRM (``core.samples``).
"""

from crm_pipeline.core.ports import SourceSpec
from crm_pipeline.sources.sopost.api import SopostApi
from crm_pipeline.sources.sopost.assumptions import EVENT
from crm_pipeline.sources.sopost.orders import ORDERS

SOURCE = SourceSpec(
    name="sopost",
    title="SoPost",
    documentation_url=(
        "https://help.sopost.com/en/articles/7901550-build-a-crm-integration-using-the-sopost-api"
    ),
    datasets={ORDERS.name: ORDERS},
    connect=SopostApi,
    needs=frozenset({"base_url", "user_id", "password", "entity_type", "entity_id"}),
    hook_events={EVENT: ORDERS.name},
)
