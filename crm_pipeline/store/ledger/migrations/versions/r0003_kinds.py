"""Plans of several kinds of objects; the inbox; facets and links of contacts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ROW = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for table in ("plans", "bases"):
        op.add_column(
            table, sa.Column("object_kind", sa.Text(), nullable=False, server_default="contact")
        )
    op.create_table(
        "inbox",
        sa.Column("number", _ROW, nullable=False, autoincrement=True),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("dedup", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_event", "inbox", ["organisation", "source", "dedup"], unique=True)
    op.create_index("inbox_waiting", "inbox", ["state", "organisation", "number"], unique=False)
    op.create_table(
        "facets",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("facet", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "key", "facet"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "links",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=False),
        sa.Column("email_digest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "source", "source_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("links_key", "links", ["organisation", "key"], unique=False)
    op.create_index("links_email", "links", ["organisation", "email_digest"], unique=False)
