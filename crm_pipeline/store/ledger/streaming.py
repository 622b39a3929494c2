"""Long results of a query as Arrow, in bounded memory.

Arrow is imported when it is needed: a command that only looks at the state does without it.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_pipeline.store.ledger.engine import Database

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows in one batch. Larger ones are slower: their many small objects fall out of the CPU's cache.
BATCH_ROWS = 2_048


def stream_text(
    database: Database, query: "sa.Select[Any]", names: Sequence[str]
) -> "pa.RecordBatchReader":
    """Return the rows of a query whose columns are all text, or null.

    Nothing is asked before the first batch is read. The driver's own tuples are turned into
    columns, which costs half of what SQLAlchemy's rows do. Its own streaming is left aside: it
    takes the first row away from a driver's cursor.
    """
    import pyarrow as pa  # noqa: PLC0415  see the module's docstring

    schema = pa.schema([(name, pa.string()) for name in names])

    def batches() -> Iterator[pa.RecordBatch]:
        with (
            database.read() as connection,
            closing(_cursor(database, connection, query)) as cursor,
        ):
            while rows := cursor.fetchmany(BATCH_ROWS):
                columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _cursor(database: Database, connection: sa.Connection, query: "sa.Select[Any]") -> Any:
    """Return the driver's cursor, on Postgres one that the server holds, with the query begun."""
    compiled = query.compile(connection.engine)
    values = compiled.params
    driver: Any = connection.connection
    cursor = driver.cursor() if database.is_sqlite else driver.cursor(name="ledger_stream")
    cursor.execute(str(compiled), [values[name] for name in compiled.positiontup or ()] or values)
    return cursor
