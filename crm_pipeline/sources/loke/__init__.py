"""LOKE as a source: customers and payments newest first, members of lists, orders by location.

Here: paths, headers, shapes, columns. Not here: when a pull is complete (``sync.land``), and what
a record becomes in a CRM (``core.mapping``, ``core.purchases``).
"""

from crm_pipeline.core.ports import SourceSpec
from crm_pipeline.sources.loke.api import LokeApi
from crm_pipeline.sources.loke.decoding import DATASETS
from crm_pipeline.sources.loke.events import HOOK_EVENTS

SOURCE = SourceSpec(
    name="loke",
    title="LOKE",
    documentation_url="https://api-docs.loke.global",
    datasets=DATASETS,
    connect=LokeApi,
    needs=frozenset({"base_url", "token_url", "organisation_id", "client_id", "client_secret"}),
    hook_events=HOOK_EVENTS,
)
