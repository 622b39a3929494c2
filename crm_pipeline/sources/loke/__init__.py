"""LOKE as a source: an organisation's customers, most recently updated first.

Here: paths, headers, shapes, columns. Not here: when a pull is complete (``sync.land``), and what
a customer becomes in a CRM (``core.mapping``).
"""

from crm_pipeline.core.ports import SourceSpec
from crm_pipeline.sources.loke.api import LokeApi
from crm_pipeline.sources.loke.customers import CUSTOMERS

SOURCE = SourceSpec(
    name="loke",
    title="LOKE",
    documentation_url="https://api-docs.loke.global",
    datasets={CUSTOMERS.name: CUSTOMERS},
    connect=LokeApi,
    needs=frozenset({"base_url", "token_url", "organisation_id", "client_id", "client_secret"}),
)
