"""A source of records without times, in memory: as a whole list, or one by one."""

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from crm_pipeline.core.ports import DatasetSpec, DecodedPage, Page, Reading, SourceSpec

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("status", pa.string()),
        pa.field("changed_at", pa.string()),
    ]
)


def shelf_spec(reading: Reading, page_size: int = 1000) -> SourceSpec:
    dataset = DatasetSpec(
        name="things",
        description="Things.",
        columns=(),
        schema=SCHEMA,
        page_size=page_size,
        version_column="changed_at",
        reading=reading,
        final_states=frozenset({"DONE"}),
    )
    return SourceSpec(
        name="shelf",
        title="Shelf",
        documentation_url="",
        datasets={"things": dataset},
        connect=lambda _connection: Shelf(),
        hook_events={"thing": "things"},
    )


@dataclass
class Shelf:
    """What the source holds. ``failing`` gives the error of single reads, by id."""

    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    page_rows: int = 3
    failing: dict[str, Exception] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    pages: int = 0

    def put(self, thing_id: str, status: str, changed_at: str | None = None) -> None:
        self.things[thing_id] = {"id": thing_id, "status": status, "changed_at": changed_at}

    def first_page(self, _dataset: str) -> Page:
        return self._page(0)

    def next_page(self, link: str) -> Page:
        return self._page(int(link))

    def decode(self, _dataset: str, page: Page) -> DecodedPage:
        rows = pa.RecordBatch.from_pylist(json.loads(page.body), schema=SCHEMA)
        return DecodedPage(rows=rows, rejects=(), row_count=rows.num_rows)

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        self.reads.append(source_id)
        if source_id in self.failing:
            raise self.failing[source_id]
        found = self.things.get(source_id)
        return None if found is None else self.decode(dataset, _page([found], None))

    def check(self) -> list[Any]:
        return []

    def close(self) -> None:
        pass

    def _page(self, start: int) -> Page:
        self.pages += 1
        end = start + self.page_rows
        rows = list(self.things.values())
        return _page(rows[start:end], str(end) if end < len(rows) else None)


def _page(rows: list[dict[str, Any]], next_link: str | None) -> Page:
    body = json.dumps(rows).encode()
    digest = blake2b(body, digest_size=16).hexdigest()
    return Page(body=body, next_link=next_link, server_date=None, digest=digest)
