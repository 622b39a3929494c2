"""Webhooks of every organisation, as its file says: what proves them, and where they are sent.

Here: hooks by organisation and source, read again when a file changes. Not here: what a webhook
says (``webhooks``), and telling a source where to send them (``sync.subscribe``). Nothing of the
lake or of the vendors' clients is loaded: the receiver runs on this alone.
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from crm_pipeline.settings import (
    LoadedOrganisations,
    OrganisationSettings,
    SecretReader,
    SecretReference,
    Settings,
    load_organisations,
)
from crm_pipeline.settings.organisation import SourceSettings, WebhookSettings

if TYPE_CHECKING:
    from crm_pipeline.sync.subscribe import WantedHook
    from crm_pipeline.wiring.runtime import Runtime

#: Sources that sign what they send; the others are told a secret address.
SIGNING_SOURCES = frozenset({"loke"})

_FileState = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """The webhooks of one organisation from one source.

    ``organisation_id`` is the source's name for the organisation. ``secrets`` are looked up when
    they are called: the present one, then the old one while it is being replaced.
    """

    organisation: str
    source: str
    organisation_id: str
    secrets: tuple[Callable[[], str], ...]


class HookDirectory:
    """Every hook that is configured. Thread-safe.

    A webhook that is refused is lost, so that a folder or a file that cannot be read takes no hook
    away: those of before go on.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._files: list[_FileState] | None = None
        self._hooks: Mapping[tuple[str, str], Hook] = {}
        self._homes: Mapping[str, Path] = {}
        self._is_whole = False

    @property
    def is_whole(self) -> bool:
        """Whether every file could be read; if not, an unknown organisation may be one of them."""
        return self._is_whole

    def find(self, organisation: str, source: str) -> Hook | None:
        """Return one hook, or None when no readable file has it."""
        return self._hooks.get((organisation, source))

    def all(self) -> tuple[Hook, ...]:
        """Return every hook."""
        return tuple(self._hooks.values())

    def refresh(self) -> None:
        """Look at the files; read them again when one changed."""
        with self._lock:
            files = _states(self._settings.config_folder)
            if files is None:
                self._is_whole = False
            elif files != self._files or not self._is_whole:
                self._take(load_organisations(self._settings))
            self._files = files

    def _take(self, loaded: LoadedOrganisations) -> None:
        hooks = {
            (hook.organisation, hook.source): hook
            for slug, organisation in loaded.organisations.items()
            for hook in hooks_of(organisation, loaded.files[slug], self._settings)
        }
        homes = dict(loaded.files)
        for (slug, source), hook in self._hooks.items():
            if slug not in loaded.organisations and self._homes[slug] in loaded.broken:
                hooks[slug, source] = hook
                homes[slug] = self._homes[slug]
        self._hooks, self._homes, self._is_whole = hooks, homes, not loaded.broken


def hooks_of(organisation: OrganisationSettings, file: Path, settings: Settings) -> list[Hook]:
    """Return the hooks of one organisation; no secret is read yet."""
    return [
        Hook(
            organisation=organisation.slug,
            source=name,
            organisation_id=source.organisation_id or "",
            secrets=_secrets(organisation.slug, name, source.webhooks, file, settings),
        )
        for name, source in organisation.sources.items()
        if source.webhooks is not None
    ]


def hook_path(source: str, organisation: str) -> str:
    """Return where the receiver takes an organisation's webhooks from a source.

    >>> hook_path("crm_com", "harbour-coffee")
    '/webhooks/crm-com/harbour-coffee'
    """
    return f"/webhooks/{source.replace('_', '-')}/{organisation}"


def wanted_hooks(runtime: "Runtime", slug: str) -> Mapping[str, "WantedHook"]:
    """Return what an organisation wants to be told, by source, ready for ``sync.subscribe``.

    Raises OrganisationUnknownError, or ConfigurationError with every problem of its file.
    """
    from crm_pipeline.sync.subscribe import WantedHook  # noqa: PLC0415  it needs Arrow

    binding = runtime.organisation(slug)
    sources = runtime.loaded.organisations[slug].sources
    file = runtime.loaded.files[slug]
    wanted = {}
    for name, source in sources.items():
        hooks = source.webhooks
        if hooks is None:
            continue
        secret = _secrets(slug, name, hooks, file, runtime.settings)[0]
        wanted[name] = WantedHook(
            organisation=slug,
            spec=binding.sources[name].spec,
            connect=binding.sources[name].connect,
            ref=hooks.ref,
            address=hooks.url + hook_path(name, slug),
            secret_ending=None if name in SIGNING_SOURCES else _as_path(secret),
            signing_secret=secret if name in SIGNING_SOURCES else None,
            events=_events(hooks, source, binding.sources[name].spec.hook_events),
        )
    return wanted


def _as_path(secret: SecretReader) -> Callable[[], str]:
    return lambda: quote(secret(), safe="")


def _events(
    hooks: WebhookSettings, source: SourceSettings, known: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the events to ask for: those named, else all that concern a dataset that is read."""
    if hooks.events is not None:
        return hooks.events
    return tuple(event for event, dataset in known.items() if dataset in source.datasets)


def _secrets(
    slug: str, source: str, hooks: WebhookSettings, file: Path, settings: Settings
) -> tuple[SecretReader, ...]:
    def reader(reference: SecretReference, field: str) -> SecretReader:
        return SecretReader(
            reference,
            settings.environment,
            organisation=slug,
            field=f"sources.{source}.webhooks.{field}",
            source_file=file,
        )

    present = (reader(hooks.secret, "secret"),)
    return (
        present if hooks.old_secret is None else (*present, reader(hooks.old_secret, "old_secret"))
    )


def _states(folder: Path) -> list[_FileState] | None:
    """Return name, change time, size and inode of all that is in a folder; None when it is gone."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (each.name, state.st_mtime_ns, state.st_size, state.st_ino)
                for each in entries
                if (state := _state(each)) is not None
            )
    except OSError:
        return None


def _state(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:
        return None  # it went away while we looked
