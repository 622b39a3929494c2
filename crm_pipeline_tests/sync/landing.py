"""Lands rows of any dataset straight into a lake, for tests of what comes after landing."""

import datetime as dt
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from crm_pipeline.sources import load_sources
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.land import landed_table
from crm_pipeline.sync.land.stamping import fingerprints
from crm_pipeline.sync.workspace import Workspace

ORGANISATION = "acme"


@dataclass
class Ground:
    """A real ledger and lake without vendors; ``land`` plays the source."""

    folder: Path
    now: dt.datetime = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
    batches: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        ledger = Ledger(f"sqlite:///{self.folder}/ledger.db", clock=self.clock)
        ledger.migrate()
        self.ws = Workspace(
            ledger=ledger, lake=Lake(str(self.folder / "lake"), clock=self.clock), clock=self.clock
        )

    def clock(self) -> dt.datetime:
        self.now += dt.timedelta(milliseconds=1)
        return self.now

    def close(self) -> None:
        self.ws.ledger.close()

    def land(self, source: str, dataset: str, *rows: dict[str, Any]) -> int:
        """Append rows as one batch; the columns that are not given are null."""
        schema = load_sources()[source].datasets[dataset].schema
        batch = self.ws.ledger.watermarks.next_batch(ORGANISATION)
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=_open(schema))
        count = table.num_rows
        now = self.clock()
        times = pa.array([now] * count, pa.timestamp("us", tz="UTC"))
        for name, column in (
            ("version_at", times),
            ("landed_at", times),
            ("origin", pa.array(["pull"] * count)),
            ("page_digest", pa.array([""] * count)),
            ("fingerprint", fingerprints(table)),
            ("batch", pa.array([batch] * count, pa.int64())),
        ):
            table = table.append_column(name, column)
        reader = table.to_reader()
        self.ws.lake.append(ORGANISATION, landed_table(source, dataset), reader)
        return batch

    def desired(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the fields of the desired objects of one table, by key."""
        table = f"desired/{name}"
        if not self.ws.lake.exists(ORGANISATION, table):
            return {}
        rows = self.ws.lake.current(ORGANISATION, table, "key").read_all().to_pylist()
        return {row["key"]: json.loads(row["fields"]) for row in rows}


def _open(schema: pa.Schema) -> pa.Schema:
    return pa.schema([each.with_nullable(True) for each in schema])
