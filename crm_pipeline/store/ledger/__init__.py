"""The ledger: small rows that have to be durable before a call leaves.

Watermarks, applied state, plans, intents and receipts, consents, rejects, budgets, leases. SQLite
by default, Postgres by URL; one group of tables a module. Not here: rows by the million (``lake``).
"""

from crm_pipeline.store.ledger.accounts import Accounts
from crm_pipeline.store.ledger.applied import Applied, AppliedMedia
from crm_pipeline.store.ledger.audit import Audit
from crm_pipeline.store.ledger.budgets import Budgets
from crm_pipeline.store.ledger.consents import Consents
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.erasing import Erasing
from crm_pipeline.store.ledger.facets import Facets, Link, Links
from crm_pipeline.store.ledger.holds import Hold, Holds
from crm_pipeline.store.ledger.inbox import Appended, Inbox, InboxRow, Received
from crm_pipeline.store.ledger.inbox_counts import InboxCounts
from crm_pipeline.store.ledger.leases import Lease, Leases, this_process
from crm_pipeline.store.ledger.migrating import check, migrate, require_current
from crm_pipeline.store.ledger.organisations import Organisations, OrganisationStatus
from crm_pipeline.store.ledger.outbox import Intent, Outbox, OutboxRow, Outcome
from crm_pipeline.store.ledger.owners import Owners
from crm_pipeline.store.ledger.plans import Approval, Plans, PlanStatus, StoredPlan
from crm_pipeline.store.ledger.receipts import Receipt
from crm_pipeline.store.ledger.rejects import Rejects, StoredReject
from crm_pipeline.store.ledger.stages import Stages
from crm_pipeline.store.ledger.times import Clock
from crm_pipeline.store.ledger.tombstones import Erasure, Stone, Tombstones
from crm_pipeline.store.ledger.watermarks import CompleteRead, PullProgress, Watermark, Watermarks

__all__ = [
    "Appended",
    "AppliedMedia",
    "Approval",
    "CompleteRead",
    "Erasure",
    "Hold",
    "InboxCounts",
    "InboxRow",
    "Intent",
    "Lease",
    "Ledger",
    "Link",
    "OrganisationStatus",
    "OutboxRow",
    "Outcome",
    "PlanStatus",
    "PullProgress",
    "Receipt",
    "Received",
    "Stone",
    "StoredPlan",
    "StoredReject",
    "Watermark",
    "this_process",
]


class Ledger:
    """The ledger of one installation. Thread-safe; one object a process is enough.

    ``url`` is a SQLAlchemy URL: ``sqlite:////path/ledger.db`` or ``postgresql+psycopg://...``.
    A writer waits up to ``busy_seconds`` for another one; 15 unless given.
    Nothing is made or opened before the first call; ``migrate`` makes what is missing. Every call
    raises ConfigurationError when ``migrate`` has to be run, LedgerDamagedError when the ledger is
    damaged or another program's, TryLaterError when the disk or the server does not do its part.
    """

    def __init__(self, url: str, *, clock: Clock, busy_seconds: float | None = None) -> None:
        self._database = Database(url, busy_seconds=busy_seconds)
        self.watermarks = Watermarks(self._database, clock)
        self.stages = Stages(self._database)
        self.applied = Applied(self._database)
        self.accounts = Accounts(self._database, clock)
        self.owners = Owners(self._database)
        self.plans = Plans(self._database, clock)
        self.outbox = Outbox(self._database, clock)
        self.consents = Consents(self._database)
        self.facets = Facets(self._database, clock)
        self.links = Links(self._database, clock)
        self.rejects = Rejects(self._database, clock)
        self.holds = Holds(self._database, clock)
        self.audit = Audit(self._database, clock)
        self.inbox = Inbox(self._database, clock, self.rejects)
        self.budgets = Budgets(self._database, clock)
        self.leases = Leases(self._database, clock)
        self.organisations = Organisations(self._database, clock)
        self.tombstones = Tombstones(self._database, clock)
        self.erasing = Erasing(self._database, clock)

    def migrate(self) -> None:
        """Bring the tables up to date; safe to repeat, and from two processes at once.

        Raises LedgerDamagedError when a newer version of the product wrote the ledger.
        """
        migrate(self._database)

    def require_current(self) -> None:
        """Raise ConfigurationError when ``migrate`` has to be run first."""
        require_current(self._database)

    def check(self) -> None:
        """Read the whole ledger for damage; on SQLite about a second a gigabyte.

        Raises LedgerDamagedError at the first fault.
        """
        check(self._database)

    def close(self) -> None:
        """Give every connection back."""
        self._database.close()
