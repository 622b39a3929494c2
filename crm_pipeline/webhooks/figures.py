"""Figures of the receiver for Prometheus. No label names an organisation or a person."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crm_pipeline.store.ledger import InboxCounts

#: The content type of the text format of Prometheus.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_GROUPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Figures:
    """Counts of one receiver."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "crm_pipeline_webhooks",
            "Webhooks answered, by source, status and cause; `new` and `repeated` are stored.",
            ["source", "status", "cause"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "crm_pipeline_webhook_seconds",
            "From the head of a request to its answer.",
            ["source"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._unknown = Counter(
            "crm_pipeline_webhook_unknown_events",
            "Stored events whose kind this version does not know.",
            ["source"],
            registry=self._registry,
        )
        self._commits = Counter(
            "crm_pipeline_inbox_commits",
            "Transactions of the inbox, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self._groups = Histogram(
            "crm_pipeline_inbox_group_events",
            "Events in one transaction.",
            buckets=_GROUPS,
            registry=self._registry,
        )
        self._is_ready = Gauge(
            "crm_pipeline_receiver_ready",
            "1 while events can be stored.",
            registry=self._registry,
        )

    def answered(self, source: str, status: int, cause: str, seconds: float) -> None:
        """Count one answer."""
        self._answers.labels(source, str(status), cause).inc()
        self._seconds.labels(source).observe(seconds)

    def unknown_event(self, source: str) -> None:
        """Count one event of a kind that we do not know."""
        self._unknown.labels(source).inc()

    def committed(self, events: int, *, is_ok: bool) -> None:
        """Count one transaction."""
        self._commits.labels("ok" if is_ok else "failed").inc()
        self._groups.observe(events)

    def set_ready(self, *, is_ready: bool) -> None:
        """Note whether events can be stored."""
        self._is_ready.set(is_ready)

    def watch_inbox(self, counts: Callable[[], Mapping[str, InboxCounts]]) -> None:
        """Show what waits in the inbox; ``counts`` is asked each time the figures are read."""
        self._registry.register(_Depth(counts))

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _Depth(Collector):
    def __init__(self, counts: Callable[[], Mapping[str, InboxCounts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        counts = self._counts().values()
        events = GaugeMetricFamily(
            "crm_pipeline_inbox_events", "Events in the inbox, by state.", labels=["state"]
        )
        events.add_metric(["pending"], sum(each.pending for each in counts))
        events.add_metric(["failed"], sum(each.failed for each in counts))
        yield events
        oldest = min((each.oldest for each in counts if each.oldest), default=None)
        yield GaugeMetricFamily(
            "crm_pipeline_inbox_oldest_timestamp_seconds",
            "When the oldest pending event was received; 0 when none is pending.",
            value=oldest.timestamp() if oldest else 0.0,
        )

    def describe(self) -> Iterable[Metric]:
        """Name no metric beforehand: that would read the inbox."""
        return ()
