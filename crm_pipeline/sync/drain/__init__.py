"""Drain: what webhooks told, out of the inbox and into the lake.

Here: what becomes of each event, which records are read again, when an event is settled. Not here:
what an event of a vendor says (``sources``), which version is newer (``sync.land.hooks``), the
inbox (``store.ledger``).
"""

from crm_pipeline.sync.drain.draining import drain
from crm_pipeline.sync.drain.report import DrainReport, DrainRules, settle_pulled

__all__ = ["DrainReport", "DrainRules", "drain", "settle_pulled"]
