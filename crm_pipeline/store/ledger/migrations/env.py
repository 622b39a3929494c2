"""Alembic's entry: runs the revisions on the connection that the ledger hands over."""

from alembic import context

from crm_pipeline.store.ledger.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
