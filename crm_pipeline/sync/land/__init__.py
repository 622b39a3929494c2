"""Pull: read what is new, or everything, from a source and land it in the lake.

Here: when a scan is complete and what it may remember (with ``core.pulling``). Not here: requests
and shapes (``sources``), tables (``store.lake``).
"""

from crm_pipeline.sync.land.looking import PeekReport, peek
from crm_pipeline.sync.land.pull import pull
from crm_pipeline.sync.land.report import PullReport, landed_table

__all__ = ["PeekReport", "PullReport", "landed_table", "peek", "pull"]
