"""What the ledger's tests are built from: a clock that obeys, changes, other processes."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

from crm_pipeline.core.records import Change, ConsentRecord, OutcomeKind
from crm_pipeline.store.ledger import Intent, Receipt, this_process

START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ORG, CRM, KIND = "acme", "crm_com", "contact"
#: An owner of whom nobody here can tell whether it lives: only time ends its leases.
ANOTHER_CONTAINER = "|".join((*this_process().split("|")[:2], "pid:[1]", "1", "1"))


@dataclass
class SimulatedClock:
    now: dt.datetime = field(default=START)

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


def change(key: str = "loke:1", **values: Any) -> Change:
    return Change(
        **{
            "seq": 1,
            "lane": 1,
            "kind": "update",
            "object_kind": KIND,
            "key": key,
            "crm_id": "crm-1",
            "before": None,
            "after": {"city": "Perth", "is_vip": True, "points": 3, "middle_name": None},
            "changed": ("city",),
            "reason": "changed",
            "fingerprint": f"print of {key}",
            "version_at": START,
            **values,
        }
    )


def intent(key: str = "loke:1", plan: str = "plan-a", **values: Any) -> Intent:
    return Intent(
        **{
            "object_kind": KIND,
            "key": key,
            "plan_digest": plan,
            "seq": 1,
            "kind": "update",
            "fingerprint": f"print of {key}",
            **values,
        }
    )


def receipt(
    key: str = "loke:1",
    outcome: OutcomeKind | None = "applied",
    plan: str = "plan-a",
    **values: Any,
) -> Receipt:
    return Receipt(
        **{
            "change": change(key),
            "plan_digest": plan,
            "outcome": outcome,
            "crm_id": "crm-1",
            "withheld": (),
            "reason": "",
            "attempts": 1,
            "email_digest": f"e:{key}",
            "phone_digest": f"p:{key}",
            **values,
        }
    )


def consent(key: str, **values: Any) -> ConsentRecord:
    return ConsentRecord(
        **{
            "key": key,
            "channel": "email",
            "is_granted": True,
            "at": START,
            "seen_at": START,
            "origin": "loke",
            **values,
        }
    )


def python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run calls at the same moment; return what each gave, or the error that it raised."""
    barrier = Barrier(len(calls))

    def one(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except Exception as error:  # noqa: BLE001  the test looks at it
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))
