"""A product catalogue as a source: one file, here or on a web server, read whole each time.

Here: where the file is, its formats, its columns. Not here: what a product becomes in a CRM
(``sync.resolve``).
"""

from crm_pipeline.core.ports import SourceSpec
from crm_pipeline.sources.catalogue.api import CatalogueApi
from crm_pipeline.sources.catalogue.products import PRODUCTS

SOURCE = SourceSpec(
    name="catalogue",
    title="Product catalogue",
    documentation_url="https://www.rfc-editor.org/rfc/rfc4180",
    datasets={PRODUCTS.name: PRODUCTS},
    connect=CatalogueApi,
    needs=frozenset({"location"}),
)
