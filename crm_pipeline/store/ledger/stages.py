"""How far each stage has worked through the batches before it."""

import sqlalchemy as sa

from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import positions


class Stages:
    """One position for each organisation and stage, such as ``resolve:contacts``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def position(self, organisation: str, stage: str) -> int:
        """Return the newest batch that the stage has finished; 0 before the first."""
        query = sa.select(positions.c.position).where(
            positions.c.organisation == organisation, positions.c.stage == stage
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one_or_none() or 0)

    def advance(self, organisation: str, stage: str, position: int) -> None:
        """Move a stage forward; a position never goes back."""
        statement = self._database.upsert(positions).values(
            organisation=organisation, stage=stage, position=position
        )
        statement = statement.on_conflict_do_update(
            index_elements=["organisation", "stage"],
            set_={"position": position},
            where=positions.c.position < position,
        )
        with self._database.write() as connection:
            connection.execute(statement)
