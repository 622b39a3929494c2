"""How long things are kept that hold people and that nothing is worked out from any more."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """Ages in days, of one organisation; None keeps for ever.

    ``landed_days``: a version of a landed record, from when it was superseded. ``webhooks_days``: a
    webhook, from when it was done with. ``plans_days``: the changes of a plan, with what the CRM
    held before: so long a plan can be undone.
    """

    landed_days: int | None = 365
    webhooks_days: int | None = 30
    plans_days: int | None = 90


def cutoff(days: int | None, now: dt.datetime) -> dt.datetime | None:
    """Return the moment before which things may go; None: nothing may.

    >>> cutoff(30, dt.datetime(2026, 3, 31, tzinfo=dt.UTC))
    datetime.datetime(2026, 3, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return None if days is None else now - dt.timedelta(days=days)
