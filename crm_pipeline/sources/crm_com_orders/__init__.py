"""CRM.COM as a source: the orders that contacts place there.

Here: the list, the names that an order's members have had, amounts and times. Not here: CRM.COM as
a destination (``destinations.crm_com``), of which this is the other direction.
"""

from crm_pipeline.core.ports import SourceSpec
from crm_pipeline.sources.crm_com_orders.api import OrdersApi
from crm_pipeline.sources.crm_com_orders.orders import ORDERS

SOURCE = SourceSpec(
    name="crm_com",
    title="CRM.COM orders",
    documentation_url="https://speca.io/CRM/pos-and-ecommerce-systems",
    datasets={ORDERS.name: ORDERS},
    connect=OrdersApi,
    needs=frozenset({"base_url", "api_key"}),
    hook_events={"order": ORDERS.name},
)
