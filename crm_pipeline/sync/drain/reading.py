"""Reads single records for the drain: a bounded number, and no more of a source that is down."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.core.ports import SourceApi
from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    CrmPipelineError,
    ThrottledError,
    UnreachableError,
)
from crm_pipeline.sync.binding import SourceBinding
from crm_pipeline.sync.drain.events import Told
from crm_pipeline.sync.drain.outcomes import WITHOUT_END
from crm_pipeline.sync.drain.report import DrainReport, DrainRules

#: Failed reads in a row after which a source is taken to be down. One record may be the trouble.
_MOST_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one read came to: rows, or the reason why not and how often to try in all.

    ``is_left``: it was not tried, because this drain has read enough.
    """

    rows: pa.RecordBatch | None = None
    reason: str = ""
    attempts: int = 0
    is_left: bool = False


class Reader:
    """The connections of one drain. ``stack`` closes them."""

    def __init__(
        self,
        sources: Mapping[str, SourceBinding],
        rules: DrainRules,
        report: DrainReport,
        stack: ExitStack,
    ) -> None:
        self._sources = sources
        self._rules = rules
        self._report = report
        self._stack = stack
        self._apis: dict[str, SourceApi] = {}
        self._down: dict[str, CrmPipelineError] = {}
        self._failures: dict[str, int] = {}

    @property
    def is_exhausted(self) -> bool:
        """Whether no more may be read."""
        return self._report.reads >= self._rules.max_reads

    def api(self, source: str) -> SourceApi:
        """Return the connection to a source, opened when it is first needed.

        Raises CrmPipelineError when it cannot be, such as for a secret that is missing.
        """
        if source not in self._apis:
            if source in self._down:
                raise self._down[source]
            try:
                api = self._sources[source].connect()
            except CrmPipelineError as error:
                self._give_up(source, error)
                raise
            self._stack.callback(api.close)
            self._apis[source] = api
        return self._apis[source]

    def read(self, told: Told) -> Read:
        """Read one record; never raises for it."""
        if told.source in self._down:
            return Read(reason=self._down[told.source].code, attempts=WITHOUT_END)
        if self.is_exhausted:
            return Read(is_left=True)
        try:
            self._report.reads += 1
            decoded = self.api(told.source).read_one(told.dataset, told.source_id)
        except CrmPipelineError as error:
            return self._failed(told.source, error)
        except Exception as error:  # noqa: BLE001  one record stops no other
            reason = f"{BugError.code}:{type(error).__name__}"
            return Read(reason=reason, attempts=self._rules.attempts)
        self._failures[told.source] = 0
        if decoded is not None and decoded.rows.num_rows and not decoded.rejects:
            return Read(rows=decoded.rows)
        reason = "not_found" if decoded is None else "bad_answer"
        return Read(reason=reason, attempts=self._rules.attempts)

    def _failed(self, source: str, error: CrmPipelineError) -> Read:
        """Judge whether the source is down or one record is the trouble."""
        if error.next_step == "fix_data":
            return Read(reason=error.code, attempts=self._rules.attempts)
        self._failures[source] = self._failures.get(source, 0) + 1
        is_down = isinstance(error, ConfigurationError | ThrottledError | UnreachableError)
        if is_down or self._failures[source] >= _MOST_FAILURES:
            self._give_up(source, error)
        attempts = WITHOUT_END if is_down else self._rules.trouble_attempts
        return Read(reason=error.code, attempts=attempts)

    def _give_up(self, source: str, error: CrmPipelineError) -> None:
        if source not in self._down:
            self._down[source] = error
            self._report.errors.append(error)
