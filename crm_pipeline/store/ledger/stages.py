"""How far each stage has worked through the batches before it."""

from hashlib import blake2b

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
        self._put(organisation, stage, position, positions.c.position < position)

    def is_made_by(self, organisation: str, stage: str, version: str) -> bool:
        """Whether what a stage made so far was made by this version of its rules."""
        return self.position(organisation, _rules_of(stage)) == _number(version)

    def set_made_by(self, organisation: str, stage: str, version: str) -> None:
        """Note by which version of its rules everything of a stage is made now."""
        self._put(organisation, _rules_of(stage), _number(version), None)

    def _put(
        self,
        organisation: str,
        stage: str,
        position: int,
        where: "sa.ColumnElement[bool] | None",
    ) -> None:
        statement = self._database.upsert(positions).values(
            organisation=organisation, stage=stage, position=position
        )
        statement = statement.on_conflict_do_update(
            index_elements=["organisation", "stage"], set_={"position": position}, where=where
        )
        with self._database.write() as connection:
            connection.execute(statement)


def _rules_of(stage: str) -> str:
    return f"{stage}:rules"


def _number(version: str) -> int:
    """Return a version as a number that fits a position, never 0."""
    return int.from_bytes(blake2b(version.encode(), digest_size=7).digest()) + 1
