"""The ledger's tables. Here: columns and keys. Not here: what they mean (one module a group).

Keys begin with the organisation. Times are integers: microseconds since 1970-01-01
UTC. Objects are canonical JSON text. The tables are made by the migrations; a test proves that both
agree.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

#: Not Alembic's default name: Dagster keeps a version of its own in the same Postgres database.
VERSION_TABLE = "ledger_version"

_TIME = sa.BigInteger
_ROW = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _organisation() -> "sa.Column[str]":
    return sa.Column("organisation", sa.Text, primary_key=True)


watermarks = sa.Table(
    "watermarks",
    metadata,
    _organisation(),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("at", _TIME),
    sa.Column("batch", sa.BigInteger, nullable=False),
    sa.Column("rows_known", sa.BigInteger, nullable=False),
    sa.Column("last_row_count", sa.BigInteger, nullable=False),
    sa.Column("committed_at", _TIME, nullable=False),
    sa.Column("swept_at", _TIME),
    sa.Column("version", sa.BigInteger, nullable=False),
)
recent = sa.Table(
    "recent",
    metadata,
    _organisation(),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
pull_progress = sa.Table(
    "pull_progress",
    metadata,
    _organisation(),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
positions = sa.Table(
    "positions",
    metadata,
    _organisation(),
    sa.Column("stage", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
applied = sa.Table(
    "applied",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("object_kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("crm_id", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("withheld", sa.Text, nullable=False),
    sa.Column("email_digest", sa.Text),
    sa.Column("phone_digest", sa.Text),
    sa.Column("plan_digest", sa.Text, nullable=False),
    sa.Column("version_at", _TIME),
    sa.Column("applied_at", _TIME, nullable=False),
    sa.Index("applied_email", "organisation", "destination", "email_digest"),
    sa.Index("applied_phone", "organisation", "destination", "phone_digest"),
    # Rows lie in the order of their keys: all of them are read five times as fast.
    sqlite_with_rowid=False,
)
#: How many rows ``applied`` holds: counting five million of them takes more than a second.
applied_totals = sa.Table(
    "applied_totals",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("object_kind", sa.Text, primary_key=True),
    sa.Column("objects", sa.BigInteger, nullable=False),
)
plans = sa.Table(
    "plans",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("object_kind", sa.Text, nullable=False, server_default="contact"),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("settled", sa.BigInteger, nullable=False),
    sa.Column("header", sa.Text, nullable=False),
    sa.Index("plans_newest", "organisation", "destination", "number"),
    # Not by organisation first: few plans are open, and all of those are asked for at once.
    sa.Index("plans_open", "status", "organisation", "destination"),
)
approvals = sa.Table(
    "approvals",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("approved_by", sa.Text, nullable=False),
    sa.Column("approved_at", _TIME, nullable=False),
    sa.Column("expires_at", _TIME, nullable=False),
)
outbox = sa.Table(
    "outbox",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("object_kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("plan_digest", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("intent_at", _TIME, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("seq", _ROW, primary_key=True, autoincrement=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("plan_digest", sa.Text, nullable=False),
    sa.Column("object_kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("settled_at", _TIME, nullable=False),
    sa.Index(
        "outcomes_change",
        "organisation",
        "destination",
        "plan_digest",
        "object_kind",
        "key",
        unique=True,
    ),
    sqlite_autoincrement=True,
)
accounts = sa.Table(
    "accounts",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
)
owners = sa.Table(
    "owners",
    metadata,
    _organisation(),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
)
bases = sa.Table(
    "bases",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("plan_digest", sa.Text, primary_key=True),
    sa.Column("object_kind", sa.Text, nullable=False, server_default="contact"),
    sa.Column("seq", sa.BigInteger, nullable=False),
)
consents = sa.Table(
    "consents",
    metadata,
    sa.Column("number", _ROW, primary_key=True, autoincrement=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("is_granted", sa.Boolean, nullable=False),
    sa.Column("at", _TIME),
    sa.Column("seen_at", _TIME, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Index("consents_person", "organisation", "key"),
    sqlite_autoincrement=True,
)
rejects = sa.Table(
    "rejects",
    metadata,
    _organisation(),
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("stage", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("plan_digest", sa.Text, nullable=False),
    sa.Column("rejected_at", _TIME, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
)
#: Webhooks as they came, stored before they are answered. ``dedup`` names an event: the same one,
#: delivered again, is stored once.
inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("number", _ROW, primary_key=True, autoincrement=True),
    sa.Column("organisation", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("entity_id", sa.Text, nullable=False),
    sa.Column("dedup", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("received_at", _TIME, nullable=False),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", _TIME, nullable=False),
    sa.Column("settled_at", _TIME),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("inbox_event", "organisation", "source", "dedup", unique=True),
    # Not by organisation first: few rows wait, and all of those are counted at once.
    sa.Index("inbox_waiting", "state", "organisation", "number"),
    sqlite_autoincrement=True,
)
#: What sources other than the main one say about a contact: one row a contact and facet.
facets = sa.Table(
    "facets",
    metadata,
    _organisation(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("facet", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("updated_at", _TIME, nullable=False),
    sqlite_with_rowid=False,
)
#: Which contact a person of another source is, for ever. ``email_digest`` finds people by e-mail.
links = sa.Table(
    "links",
    metadata,
    _organisation(),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("linked_at", _TIME, nullable=False),
    sa.Column("email_digest", sa.Text),
    sa.Index("links_email", "organisation", "email_digest"),
    sa.Index("links_key", "organisation", "key"),
    sqlite_with_rowid=False,
)
#: Who did what, one chain of hashes an organisation (``core.audit``). Triggers refuse any change.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("at", _TIME, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
#: What an undo took back of an object: digests of the values that no plan may write again.
holds = sa.Table(
    "holds",
    metadata,
    _organisation(),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("object_kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("undo_digest", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("held_at", _TIME, nullable=False),
    sqlite_with_rowid=False,
)
budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("free_at", _TIME, nullable=False),
    sa.Column("taken_at", _TIME, nullable=False),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("until", _TIME, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Index("leases_until", "until"),
)
organisations = sa.Table(
    "organisations",
    metadata,
    _organisation(),
    sa.Column("is_paused", sa.Boolean, nullable=False),
    sa.Column("last_success", _TIME),
    sa.Column("failed_at", _TIME),
    sa.Column("failure_code", sa.Text),
    sa.Column("failure_message", sa.Text),
    sa.Column("next_batch", sa.BigInteger, nullable=False),
)
#: Digests of erased identifiers, keyed: they name nobody without the installation's key.
tombstones = sa.Table(
    "tombstones",
    metadata,
    _organisation(),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key_name", sa.Text, nullable=False),
    sa.Column("erasure", sa.Text, nullable=False),
    sa.Column("erased_at", _TIME, nullable=False),
    sqlite_with_rowid=False,
)
#: Erasures, open and complete. ``body`` names the person until the last step, then it is empty.
erasures = sa.Table(
    "erasures",
    metadata,
    _organisation(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("started_at", _TIME, nullable=False),
    sa.Column("completed_at", _TIME),
    sa.Column("steps", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
