"""Whether the receiver can store, and since when it could not.

A beat is a small durable write, made every few seconds. It proves that the ledger takes writes,
and its time tells the next receiver, or the same one after an outage, how long nothing was taken.
Longer than the vendors try again, and events were lost: an event ``catch-up`` for every hook then
makes the drain look for itself.
"""

import datetime as dt
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.store.ledger import Ledger, Received
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros
from crm_pipeline.webhooks.events import CATCH_UP
from crm_pipeline.wiring.hooks import Hook

#: Under this name the ledger keeps the time of the last beat; no organisation can be called so.
_NOBODY, _STAGE = "-", "receiver:alive"
#: LOKE says "up to 5 attempts" and waits 10, 20, 40, 80 s between them: if the first counts, the
#: last comes 150 s after it (vendors file 1.14).
CATCH_UP_AFTER_SECONDS = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What one beat came to. ``away_seconds`` is None when there was none before it."""

    away_seconds: float | None
    caught_up: int


class Heart:
    """Beats into the ledger. Thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        hooks: Callable[[], Sequence[Hook]],
        *,
        catch_up_after_seconds: float = CATCH_UP_AFTER_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._hooks = hooks
        self._after = catch_up_after_seconds
        self._lock = threading.Lock()

    def beat(self) -> Beat:
        """Write the time down; first ask for a catch-up when the beat before is too long ago.

        Raises a CrmPipelineError when the ledger cannot be written; the gap then goes on.
        """
        with self._lock:
            now = self._clock()
            last = self._ledger.stages.position(_NOBODY, _STAGE)
            away = (to_micros(now) - last) / 1_000_000 if last else None
            asked: list[Received] = []
            if away is not None and away > self._after:
                asked = [_catch_up(hook, now, from_micros(last)) for hook in self._hooks()]
                self._ledger.inbox.append(asked)
            self._ledger.stages.advance(_NOBODY, _STAGE, to_micros(now))
        return Beat(away_seconds=away, caught_up=len(asked))


class Health:
    """Whether the last write went well; written by the writer's thread, read by all."""

    def __init__(self) -> None:
        self._error: CrmPipelineError | None = None
        self.is_stopping = False

    @property
    def problem(self) -> str:
        """The code of what is wrong, empty when nothing is."""
        if self.is_stopping:
            return "stopping"
        return self._error.code if self._error is not None else ""

    def note(self, error: CrmPipelineError | None) -> bool:
        """Note how a write went; return whether that is news."""
        was = self._error
        self._error = error
        return (was is None) != (error is None)


def _catch_up(hook: Hook, now: dt.datetime, since: dt.datetime) -> Received:
    """Return the event; receivers that come back from one outage write it once."""
    return Received(
        organisation=hook.organisation,
        source=hook.source,
        event=CATCH_UP,
        entity_id="",
        dedup=f"{CATCH_UP}:{since.isoformat()}",
        body=b"",
        received_at=now,
    )
