"""Whose people were landed under an organisation's name: one owner for each source."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import owners, pull_progress, watermarks


class Owners:
    """The source's own id of each organisation whose records were landed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, organisation: str, source: str, owner: str) -> str:
        """Return whose records were landed; take ``owner`` while nothing was.

        What was landed before this table was there belongs to the first owner that claims it.
        """
        with self._database.read() as connection:
            known = _owner(connection, organisation, source)
        if known == owner:
            return known
        with self._database.write() as connection:
            known = _owner(connection, organisation, source)
            if known is not None and _is_landed(connection, organisation, source):
                return known
            connection.execute(
                self._database.upsert(owners)
                .values(organisation=organisation, source=source, owner=owner)
                .on_conflict_do_update(
                    index_elements=["organisation", "source"], set_={"owner": owner}
                )
            )
        return owner


def _owner(connection: Connection, organisation: str, source: str) -> str | None:
    query = sa.select(owners.c.owner).where(
        owners.c.organisation == organisation, owners.c.source == source
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def _is_landed(connection: Connection, organisation: str, source: str) -> bool:
    """Whether a page of any dataset was landed."""
    return any(
        connection.execute(
            sa.select(sa.literal(1))
            .where(table.c.organisation == organisation, table.c.source == source)
            .limit(1)
        ).first()
        for table in (watermarks, pull_progress)
    )
