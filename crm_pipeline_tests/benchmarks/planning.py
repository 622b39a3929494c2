"""Plans at size: everything new, and a few changes among everything; and the least it can take.

Set-up runs in a process of its own, so that the figures of memory are the plan's alone.
"""

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa

from crm_pipeline.core.fingerprint import canonical_json, fingerprint
from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.media import digest, normal_form
from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.core.records import Fields, PlanHeader
from crm_pipeline.destinations import load_destinations
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.plan import make_plan
from crm_pipeline.sync.resolve import DESIRED_SCHEMA, DESIRED_TABLE
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.benchmarks.bench import SLUG, Place, StopWatch, now

CHUNK = 20_000
CHANGED_SHARE = 0.001
CHANGED_KEYS = 1_000


def first_plan(place: Place) -> dict[str, float]:
    """Plan the creation of everything."""
    _aside(_write_desired, place)
    watch = StopWatch()
    watch.start()
    header = _plan(place, is_full=True)
    figures = watch.stop()
    _require(header.counts["create"] == place.rows)
    return figures


def full_plan(place: Place) -> dict[str, float]:
    """Plan one change in a thousand, by comparing everything."""
    _aside(_write_both, place)
    watch = StopWatch()
    watch.start()
    header = _plan(place, is_full=True)
    figures = watch.stop()
    _require(header.counts["update"] == _changes(place.rows))
    return figures


def keyed_plan(place: Place) -> dict[str, float]:
    """Plan a thousand changes that were just resolved, among everything."""
    _aside(_write_tick, place)
    watch = StopWatch()
    watch.start()
    header = _plan(place, is_full=False)
    figures = watch.stop()
    _require(header.counts["update"] == min(CHANGED_KEYS, place.rows))
    return figures


def diff_floor(place: Place) -> dict[str, float]:
    """DuckDB on two Parquet snapshots with stored fingerprints: join, and read what differs."""
    _aside(_write_snapshots, place)
    watch = StopWatch()
    watch.start()
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT new.key, new.fields, old.fields FROM read_parquet(?) AS new"
            " LEFT JOIN read_parquet(?) AS old USING (key)"
            " WHERE old.key IS NULL OR old.fingerprint <> new.fingerprint",
            [str(place.home / "new.parquet"), str(place.home / "old.parquet")],
        ).fetchall()
    figures = watch.stop()
    _require(len(rows) == _changes(place.rows))
    return figures


def _plan(place: Place, *, is_full: bool) -> PlanHeader:
    policy = PlanPolicy(guards=GuardRules(max_update_share=None))
    spec = load_destinations()["crm_com"]
    return make_plan(_workspace(place), SLUG, spec, policy, is_full=is_full)


def _workspace(place: Place) -> Workspace:
    ledger = Ledger(f"sqlite:///{place.home}/ledger.db", clock=now)
    ledger.migrate()
    return Workspace(ledger=ledger, lake=Lake(str(place.home / "lake"), clock=now), clock=now)


def _aside(prepare: Callable[[Place], None], place: Place) -> None:
    process = multiprocessing.get_context("spawn").Process(target=prepare, args=(place,))
    process.start()
    process.join()
    _require(process.exitcode == 0)


def _changes(rows: int) -> int:
    return int(rows * CHANGED_SHARE)


def _contact(number: int, *, is_new: bool = False) -> tuple[str, Fields]:
    key = f"loke:01HRP5E5X8V37E{number * 2_654_435_761 % 2**40:012d}"
    fields: Fields = {
        "first_name": f"Name {number}" + (" New" if is_new else ""),
        "last_name": "Okafor",
        "email": f"person{number}@example.com",
        "phone_country": "AUS",
        "phone_number": str(400_000_000 + number),
        "date_of_birth": "1990-05-17",
        "email_opt_out": True,
        "sms_opt_out": False,
        "custom.loke_customer_id": key,
        "custom.loke_points_balance": str(number % 999),
    }
    return key, fields


def _contacts(rows: int, changed: int = 0) -> Iterator[tuple[str, Fields]]:
    """Give contacts; ``changed`` of them, spread evenly, with another name."""
    step = rows // changed if changed else rows + 1
    return (_contact(number, is_new=number % step == 0 and changed > 0) for number in range(rows))


def _desired(contacts: Iterator[tuple[str, Fields]], batch: int) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        while chunk := list(islice(contacts, CHUNK)):
            yield pa.RecordBatch.from_pylist(
                [_desired_row(key, fields, batch) for key, fields in chunk], schema=DESIRED_SCHEMA
            )

    return pa.RecordBatchReader.from_batches(DESIRED_SCHEMA, batches())


def _desired_row(key: str, fields: Fields, batch: int) -> dict[str, object]:
    return {
        "key": key,
        "source_id": key,
        "version_at": None,
        "fingerprint": fingerprint(fields),
        "fields": canonical_json(fields),
        "issues": [],
        "email": normal_form("email", fields),
        "phone": normal_form("phone", fields),
        "email_opt_out": True,
        "sms_opt_out": False,
        "mapping_version": "bench",
        "batch": batch,
    }


def _write_desired(place: Place) -> None:
    _workspace(place).lake.replace(SLUG, DESIRED_TABLE, _desired(_contacts(place.rows), 1))


def _write_both(place: Place) -> None:
    contacts = _contacts(place.rows, _changes(place.rows))
    _workspace(place).lake.replace(SLUG, DESIRED_TABLE, _desired(contacts, 1))
    _write_applied(place)


def _write_tick(place: Place) -> None:
    ws = _workspace(place)
    ws.lake.replace(SLUG, DESIRED_TABLE, _desired(_contacts(place.rows), 1))
    _write_applied(place)
    ws.ledger.stages.advance(SLUG, "plan:crm_com", 1)
    changed = (_contact(number, is_new=True) for number in range(min(CHANGED_KEYS, place.rows)))
    ws.lake.append(SLUG, DESIRED_TABLE, _desired(changed, 2))


def _write_applied(place: Place) -> None:
    """Fill the applied state as an apply would have, but in bulk."""
    connection = sqlite3.connect(place.home / "ledger.db")
    columns = (
        "organisation, destination, object_kind, key, crm_id, fingerprint, fields, withheld,"
        " email_digest, phone_digest, plan_digest, applied_at"
    )
    marks = ", ".join("?" * 12)
    contacts = _contacts(place.rows)
    with connection:
        while chunk := list(islice(contacts, CHUNK)):
            connection.executemany(
                f"INSERT INTO applied ({columns}) VALUES ({marks})",
                [_applied_row(key, fields) for key, fields in chunk],
            )
        connection.execute(
            "INSERT INTO applied_totals (organisation, destination, object_kind, objects)"
            " VALUES (?, ?, ?, ?)",
            (SLUG, "crm_com", "contact", place.rows),
        )
    connection.close()


def _applied_row(key: str, fields: Fields) -> Sequence[object]:
    media = (digest(normal_form(medium, fields) or "") for medium in ("email", "phone"))
    text = canonical_json(fields)
    return (
        SLUG,
        "crm_com",
        "contact",
        key,
        f"id-{key}",
        fingerprint(fields),
        text,
        "[]",
        *media,
        "p",
        0,
    )


def _write_snapshots(place: Place) -> None:
    _write_snapshot(place.home / "old.parquet", _contacts(place.rows))
    _write_snapshot(place.home / "new.parquet", _contacts(place.rows, _changes(place.rows)))


def _write_snapshot(path: Path, contacts: Iterator[tuple[str, Fields]]) -> None:
    import pyarrow.parquet as pq

    names = ["key", "fingerprint", "fields"]
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(contacts, CHUNK)):
            rows = [(key, fingerprint(fields), canonical_json(fields)) for key, fields in chunk]
            columns = [pa.array(column) for column in zip(*rows, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _require(is_so: bool) -> None:
    if not is_so:
        raise RuntimeError("The case did not do the work that it measures.")
