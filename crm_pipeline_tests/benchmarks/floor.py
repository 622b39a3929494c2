"""The least that any pull into Delta must do: httpx in a thread, msgspec, Arrow, Delta.

No watermark, no fingerprint, no check of anything; shares no code with the product.
"""

import gc
import queue
import threading
from typing import Any

import httpx
import msgspec
import pyarrow as pa
from deltalake import write_deltalake

from crm_pipeline_tests.benchmarks.bench import CLIENT, SECRET, Place, StopWatch
from crm_pipeline_tests.benchmarks.server import ORGANISATION

_GROUP_PAGES = 64


class Statistics(msgspec.Struct, rename="camel", gc=False):
    points_balance: int | None = None
    total_points_earned: int | None = None
    total_points_redeemed: int | None = None
    total_spend: int | None = None
    last_spent_at: str | None = None
    last_points_earned_at: str | None = None
    last_points_redeemed_at: str | None = None


class Customer(msgspec.Struct, rename="camel", gc=False):
    id: str
    created_at: str | None = None
    updated_at: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    dob: str | None = None
    gender: str | None = None
    has_agreed_to_marketing: bool | None = None
    statistics: Statistics | None = None


_PROFILE = [name for name in Customer.__struct_fields__ if name != "statistics"]
_STATISTICS = Statistics.__struct_fields__
_NUMBERS = {"points_balance", "total_points_earned", "total_points_redeemed", "total_spend"}
_NONE = Statistics()
_DECODER = msgspec.json.Decoder(list[Customer])


def floor(place: Place) -> dict[str, float]:
    """Read all pages and write them."""
    watch = StopWatch()
    watch.start()
    pages: queue.Queue[bytes | None] = queue.Queue(1)
    threading.Thread(target=_read, args=(place, pages), daemon=True).start()
    gc.freeze()
    gc.disable()
    group: list[pa.RecordBatch] = []
    while (body := pages.get()) is not None:
        group.append(_to_batch(_DECODER.decode(body)))
        if len(group) == _GROUP_PAGES:
            _write(place, group)
            group = []
    _write(place, group)
    return watch.stop()


def _read(place: Place, pages: "queue.Queue[bytes | None]") -> None:
    with httpx.Client(base_url=place.loke_url, timeout=60) as client:
        form = {"grant_type": "client_credentials"}
        answer = client.post(place.token_url, data=form, auth=(CLIENT, SECRET))
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        link: str | None = f"/organizations/{ORGANISATION}/customers?sort=updated"
        while link:
            page = client.get(link)
            pages.put(page.content)
            link = page.headers.get("x-next-page")
    pages.put(None)


def _to_batch(customers: list[Customer]) -> pa.RecordBatch:
    columns: dict[str, Any] = {
        name: pa.array(
            [getattr(each, name) for each in customers],
            pa.bool_() if name.startswith("has_") else pa.string(),
        )
        for name in _PROFILE
    }
    statistics = [each.statistics or _NONE for each in customers]
    for name in _STATISTICS:
        kind = pa.int64() if name in _NUMBERS else pa.string()
        columns[name] = pa.array([getattr(each, name) for each in statistics], kind)
    return pa.RecordBatch.from_pydict(columns)


def _write(place: Place, group: list[pa.RecordBatch]) -> None:
    if group:
        write_deltalake(str(place.home / "floor"), pa.Table.from_batches(group), mode="append")
