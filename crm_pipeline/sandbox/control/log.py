"""The request log: the last calls one by one, all calls as counts."""

import threading
from collections import Counter, deque
from typing import Any

import msgspec


class LoggedRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call. Status 0 means that the connection was cut before an answer."""

    at: str
    method: str
    path: str
    status: int
    route: str
    organisation: str = ""
    key: str = ""
    faults: tuple[str, ...] = ()


class RequestLog:
    """Bounded list and unbounded counters."""

    def __init__(self, size: int) -> None:
        """Keep the last ``size`` calls."""
        self._lock = threading.Lock()
        self._last: deque[LoggedRequest] = deque(maxlen=size)
        self._counts: Counter[tuple[str, str, int, str]] = Counter()

    def add(self, entry: LoggedRequest) -> None:
        """Keep one call."""
        with self._lock:
            self._last.append(entry)
            self._counts[entry.method, entry.route, entry.status, entry.organisation] += 1

    def entries(self) -> list[LoggedRequest]:
        """Return the calls kept, oldest first."""
        with self._lock:
            return list(self._last)

    def count(
        self, method: str | None = None, route: str | None = None, organisation: str | None = None
    ) -> int:
        """Count calls; None matches all."""
        with self._lock:
            return sum(
                number
                for (its_method, its_route, _, its_organisation), number in self._counts.items()
                if method in (None, its_method)
                and route in (None, its_route)
                and organisation in (None, its_organisation)
            )

    def summary(self) -> dict[str, Any]:
        """Return all counts: the total, by method and route, by organisation."""
        routes: dict[str, dict[str, Any]] = {}
        organisations: Counter[str] = Counter()
        with self._lock:
            counts = dict(self._counts)
        for (method, route, status, organisation), number in counts.items():
            row = routes.setdefault(f"{method} {route}", {"count": 0, "statuses": {}})
            row["count"] += number
            statuses = row["statuses"]
            statuses[str(status)] = statuses.get(str(status), 0) + number
            organisations[organisation] += number
        return {
            "total": sum(counts.values()),
            "routes": routes,
            "organisations": dict(organisations),
        }

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._last.clear()
            self._counts.clear()
