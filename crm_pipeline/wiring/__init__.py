"""Settings made live: one ``Runtime`` per process.

Here: opening, joining, closing. Not here: decisions (``core``), work (``sync``), Dagster.
"""

from crm_pipeline.wiring.runtime import Runtime, open_runtime_from_environment

__all__ = ["Runtime", "open_runtime_from_environment"]
