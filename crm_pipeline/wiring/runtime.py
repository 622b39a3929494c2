"""The process's live objects, each made when it is first asked for.

Imports of the lake, the clients and the ledger are inside the functions that need them, so that a
command which only reads settings or the ledger starts at once.
"""

import datetime as dt
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from crm_pipeline.core.records import Progress, Waits
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.settings import (
    ConfigProblem,
    LoadedOrganisations,
    Settings,
    load_organisations,
    load_settings,
    prepare_home,
    unusable,
)

if TYPE_CHECKING:
    from crm_pipeline.core.ports import Clock, ReportProgress
    from crm_pipeline.store.ledger import Ledger
    from crm_pipeline.sync.binding import OrganisationBinding
    from crm_pipeline.sync.workspace import Workspace


def utc_now() -> dt.datetime:
    """Return the wall clock, aware, in UTC: the product's one reading of it."""
    return dt.datetime.now(dt.UTC)


def storage_waits(waits: Waits) -> Mapping[str, str]:
    """Return how long object storage may take, in the words of its library.

    All tries together end before a lease does: the library may keep Python's lock while it waits,
    and the lease cannot be renewed then.

    >>> storage_waits(Waits(lease_seconds=60))["timeout"]
    '30.0s'
    """
    return {
        "connect_timeout": f"{waits.connect_seconds}s",
        "timeout": f"{min(waits.timeout_seconds, waits.lease_seconds / 2)}s",
        "retry_timeout": f"{min(waits.timeout_seconds, waits.lease_seconds / 3)}s",
        "max_retries": str(waits.attempts - 1),
    }


def _report_to_nobody(_progress: Progress) -> None:
    """Report to nobody."""


class Runtime:
    """Settings, organisations, ledger and lake of one process; a context manager.

    Threads may share it. ``organisations`` leaves broken ones out; ``broken`` says why, by file.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: "Clock" = utc_now,
        report_progress: "ReportProgress | None" = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._report_progress = report_progress or _report_to_nobody
        self._lock = threading.RLock()
        self._loaded: LoadedOrganisations | None = None
        self._bindings: dict[str, OrganisationBinding] | None = None
        self._wiring_problems: dict[Path, list[ConfigProblem]] = {}
        self._ledger: Ledger | None = None
        self._workspace: Workspace | None = None

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the database connections back. Safe to repeat."""
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
            self._ledger = self._workspace = None

    @property
    def loaded(self) -> LoadedOrganisations:
        """The organisation files as they were when first looked at."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load_organisations(self.settings)
            return self._loaded

    @property
    def organisations(self) -> Mapping[str, "OrganisationBinding"]:
        """Every usable organisation by slug, paused ones included."""
        with self._lock:
            if self._bindings is None:
                self._bindings = self._bind_all()
            return self._bindings

    @property
    def broken(self) -> Mapping[Path, Sequence[ConfigProblem]]:
        """The problems of every organisation that cannot be used, by file."""
        with self._lock:
            _ = self.organisations
            return {**self.loaded.broken, **self._wiring_problems}

    def organisation(self, slug: str) -> "OrganisationBinding":
        """Return one organisation.

        Raises OrganisationUnknownError, or ConfigurationError with every problem of its file.
        """
        binding = self.organisations.get(slug)
        if binding is not None:
            return binding
        self.loaded.require(slug)
        raise unusable(slug, self._wiring_problems[self.loaded.files[slug]])

    @property
    def ledger(self) -> "Ledger":
        """The ledger, opened when first asked for."""
        with self._lock:
            if self._ledger is None:
                self._ledger = self._open_ledger()
            return self._ledger

    def migrate_ledger(self) -> None:
        """Bring the ledger's tables to this version. Safe to repeat."""
        with self._lock:
            if self._ledger is None:
                self._ledger = self._open_ledger(is_migrating=True)

    @property
    def workspace(self) -> "Workspace":
        """What every use case works with."""
        with self._lock:
            if self._workspace is None:
                self._workspace = self._open_workspace()
            return self._workspace

    def paused(self) -> frozenset[str]:
        """Return the slugs that are paused, by their file or by an operator."""
        by_file = {slug for slug, each in self.loaded.organisations.items() if each.paused}
        return frozenset(by_file | set(self.ledger.organisations.paused()))

    def reload(self) -> None:
        """Look at the organisation files again when they are next needed."""
        with self._lock:
            self._loaded = self._bindings = None
            self._wiring_problems = {}

    def _open_ledger(self, *, is_migrating: bool = False) -> "Ledger":
        from crm_pipeline.store.ledger import Ledger  # noqa: PLC0415  see the module's docstring

        prepare_home(self.settings)
        url = self.settings.ledger_url.get_secret_value()
        ledger = Ledger(url, clock=self.clock)
        try:
            ledger.require_current()
        except ConfigurationError:
            # A file belongs to this installation alone; a server may have other users, whose
            # operator decides when its tables change.
            if not (is_migrating or url.startswith("sqlite")):
                ledger.close()
                raise
            ledger.migrate()
        return ledger

    def _open_workspace(self) -> "Workspace":
        from crm_pipeline.store.keyfile import KeyFile  # noqa: PLC0415  see the module's docstring
        from crm_pipeline.store.lake import Lake  # noqa: PLC0415
        from crm_pipeline.sync.workspace import Workspace  # noqa: PLC0415

        return Workspace(
            ledger=self.ledger,
            lake=Lake(
                self.settings.lake_url,
                clock=self.clock,
                storage_options=storage_waits(self.settings.waits),
            ),
            clock=self.clock,
            report_progress=self._report_progress,
            waits=self.settings.waits,
            tombstone_key=KeyFile(self.settings.tombstone_key_file),
            receipts=self.settings.home / "receipts",
        )

    def _bind_all(self) -> dict[str, "OrganisationBinding"]:
        from crm_pipeline.wiring.binding import Binder  # noqa: PLC0415  see the module's docstring

        binder = Binder(self.settings)
        bindings: dict[str, OrganisationBinding] = {}
        for slug, organisation in self.loaded.organisations.items():
            file = self.loaded.files[slug]
            problems = binder.check(organisation, file)
            if problems:
                self._wiring_problems[file] = problems
            else:
                bindings[slug] = binder.bind(organisation, file)
        return bindings


def open_runtime_from_environment() -> Runtime:
    """Return a Runtime for this process's environment; for Dagster, which has no ``main``."""
    return Runtime(load_settings(os.environ))
