"""One organisation's settings joined with the sources and destinations they name.

Here: names looked up in what is installed, with the line of a name that is unknown; secrets as
readers that are called later. Not here: connecting (the bindings do it when a use case asks).
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.mapping import Mapper, MappingInvalidError
from crm_pipeline.core.policies import PlanPolicy, VerifyPolicy
from crm_pipeline.core.ports import (
    DestinationApi,
    DestinationConnection,
    DestinationSpec,
    SourceApi,
    SourceConnection,
    SourceSpec,
)
from crm_pipeline.core.records import Limits
from crm_pipeline.core.retention import RetentionRules
from crm_pipeline.destinations import load_destinations
from crm_pipeline.settings import (
    ConfigProblem,
    OrganisationSettings,
    SecretReader,
    SecretReference,
    Settings,
)
from crm_pipeline.settings.organisation import DestinationSettings, SourceSettings
from crm_pipeline.settings.yamlfile import Location, UnreadableError, read_document
from crm_pipeline.sources import load_sources
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding, SourceBinding
from crm_pipeline.wiring.consistency import misfits
from crm_pipeline.wiring.rules import (
    CUSTOM,
    KINDS_OF,
    SAMPLES,
    custom_keys,
    key_prefix,
    mapping_version,
    membership_rules,
    product_rules,
    pull_rules,
    purchasing_rules,
    resolve_rules,
)


class Binder:
    """Joins organisations with the installed sources and destinations."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sources = load_sources()
        self._destinations = load_destinations()

    def check(self, organisation: OrganisationSettings, file: Path) -> list[ConfigProblem]:
        """Return a problem for each name that nothing installed knows."""
        unknown = [*self._unknown_sources(organisation), *self._unknown_destinations(organisation)]
        problems = [
            _problem(file, location, f"No {what} has this name.", f"Known: {_listed(known)}.")
            for location, what, known in unknown
        ]
        problems += self._missing(organisation, file)
        problems += [
            _problem(file, location, fault, remedy)
            for location, fault, remedy in misfits(organisation, self._destinations)
        ]
        try:
            rules = resolve_rules(organisation)
            Mapper(rules.mapping, rules.context)
        except MappingInvalidError as error:
            problems += [
                # A fault of a field that the file does not map comes from its currency.
                _problem(
                    file,
                    ("mapping", target) if target in organisation.mapping else ("currency",),
                    fault,
                    "",
                )
                for target, fault in error.faults.items()
            ]
        return problems

    def bind(self, organisation: OrganisationSettings, file: Path) -> OrganisationBinding:
        """Return the organisation, ready for the use cases; no secret is read yet."""
        return OrganisationBinding(
            slug=organisation.slug,
            name=organisation.name,
            is_paused=organisation.paused,
            sources={
                name: self._source(organisation, file, self._sources[name], each)
                for name, each in organisation.sources.items()
            },
            destinations={
                name: self._destination(organisation, file, self._destinations[name], each)
                for name, each in organisation.destinations.items()
            },
            resolve=resolve_rules(organisation),
            purchases=purchasing_rules(organisation),
            memberships=membership_rules(organisation),
            products=product_rules(organisation),
            retention=RetentionRules(**organisation.retention.model_dump()),
        )

    def _missing(self, organisation: OrganisationSettings, file: Path) -> Iterator[ConfigProblem]:
        for name, source in organisation.sources.items():
            spec = self._sources.get(name)
            for field in sorted(spec.needs if spec else ()):
                if getattr(source, field) is None:
                    yield _problem(file, ("sources", name), f"{name} needs `{field}`.", "Add it.")
            if spec and not source.datasets:
                yield _problem(
                    file,
                    ("sources", name, "datasets"),
                    f"{name} reads nothing: `datasets` is empty.",
                    f"Name at least one of: {', '.join(sorted(spec.datasets))}.",
                )

    def _unknown_sources(self, organisation: OrganisationSettings) -> Iterator["_Unknown"]:
        for name, source in organisation.sources.items():
            spec = self._sources.get(name)
            if spec is None:
                yield ("sources", name), "source", self._sources
                continue
            for index, dataset in enumerate(source.datasets):
                if dataset not in spec.datasets:
                    yield ("sources", name, "datasets", index), "dataset", spec.datasets

    def _unknown_destinations(self, organisation: OrganisationSettings) -> Iterator["_Unknown"]:
        for name, destination in organisation.destinations.items():
            spec = self._destinations.get(name)
            if spec is None:
                yield ("destinations", name), "destination", self._destinations
                continue
            fields = {field for kind in spec.kinds for field in kind.fields}
            fields.update(f"{CUSTOM}{key}" for key in custom_keys(organisation))
            for field in destination.field_policies:
                if field not in fields:
                    yield ("destinations", name, "field_policies", field), "field", fields

    def _source(
        self,
        organisation: OrganisationSettings,
        file: Path,
        spec: SourceSpec,
        source: SourceSettings,
    ) -> SourceBinding:
        slug = organisation.slug
        secrets = {
            name: self._secret(reference, slug, file, f"sources.{spec.name}.{name}")
            for name in SOURCE_SECRETS
            if (reference := getattr(source, name)) is not None
        }
        options = {name: getattr(source, name) for name in SOURCE_OPTIONS}
        options["datasets"] = ",".join(source.datasets)
        options["currency"] = organisation.currency
        options["location"] = _place_of(source.location, file)

        def connect() -> SourceApi:
            return spec.connect(
                SourceConnection(
                    organisation=slug,
                    base_url=source.base_url or "",
                    token_url=source.token_url or "",
                    organisation_id=source.organisation_id or "",
                    secrets=secrets,
                    options={name: str(value) for name, value in options.items() if value},
                    waits=self._settings.waits,
                )
            )

        return SourceBinding(
            spec=spec,
            connect=connect,
            datasets=source.datasets,
            rules=pull_rules(organisation, spec.name, source, self._settings.waits.overlap_seconds),
            owner=source.organisation_id,
        )

    def _destination(
        self,
        organisation: OrganisationSettings,
        file: Path,
        spec: DestinationSpec,
        destination: DestinationSettings,
    ) -> DestinationBinding:
        slug = organisation.slug
        limits = _limits(spec, destination)
        kinds = kinds_sent(spec, destination)

        def connect() -> DestinationApi:
            field = f"destinations.{spec.name}.api_key"
            return spec.connect(
                DestinationConnection(
                    organisation=slug,
                    base_url=destination.base_url,
                    api_key=self._secret(destination.api_key, slug, file, field),
                    limits=limits,
                    waits=self._settings.waits,
                    conflict=destination.conflict,
                    options={
                        "mode": destination.mode,
                        "key_prefix": f"{key_prefix(organisation)}:",
                        "sample_key_prefix": _sample_key_prefix(organisation),
                        # What it cannot hold is asked for as well, so that its check refuses it.
                        "sends": ",".join(
                            kind for word in destination.sends for kind in KINDS_OF[word]
                        ),
                        "custom_fields": json.dumps(
                            custom_keys(organisation) if "contacts" in destination.sends else ()
                        ),
                        "tags": json.dumps(sorted({each.tag for each in organisation.lists})),
                        "unit": destination.unit or "",
                        "product_definition": destination.product_definition or "",
                        "time_zone": destination.time_zone,
                        "classifications": json.dumps(_classifications(organisation)),
                    },
                )
            )

        return DestinationBinding(
            spec=spec,
            connect=connect,
            account=account_name(spec.name, destination),
            plan=PlanPolicy(
                guards=GuardRules(**destination.guards.model_dump()),
                limits=limits,
                mapping_version=mapping_version(resolve_rules(organisation)),
                on_missing=destination.on_missing,
                field_policies=destination.field_policies,
            ),
            verify=VerifyPolicy(sample=destination.verify.sample),
            kinds=kinds,
        )

    def _secret(
        self, reference: SecretReference, slug: str, file: Path, field: str
    ) -> SecretReader:
        return SecretReader(
            reference,
            self._settings.environment,
            organisation=slug,
            field=field,
            source_file=file,
        )


_Unknown = tuple[Location, str, Collection[str]]

SOURCE_SECRETS = ("client_id", "client_secret", "user_id", "password", "api_key")
SOURCE_OPTIONS = ("location", "format", "entity_type", "entity_id")


def _place_of(location: str | None, file: Path) -> str | None:
    """Return where a file is: a relative path begins beside the organisation's own file."""
    if location is None or "://" in location:
        return location
    return str((file.parent / location).absolute())


def account_name(destination: str, settings: DestinationSettings) -> str:
    """Return the name of a CRM account: a digest of address, mode and the *place* of the key.

    Its call budget and its applied state go by this name; a new key in the same place is the same
    account.
    """
    account = f"{settings.base_url}\n{settings.mode}\n{settings.api_key.place}"
    return f"{destination}:{hashlib.blake2b(account.encode(), digest_size=8).hexdigest()}"


def kinds_sent(spec: DestinationSpec, settings: DestinationSettings) -> tuple[str, ...]:
    """Return the kinds of objects that a destination is sent, in its own order.

    What it cannot hold is left out here and reported by ``doctor``.
    """
    wanted = {kind for word in settings.sends for kind in KINDS_OF[word]}
    return tuple(kind.name for kind in spec.kinds if kind.name in wanted)


def _sample_key_prefix(organisation: OrganisationSettings) -> str:
    """Return how the keys of those begin whom only samples made contacts; empty without samples."""
    samples = organisation.sources.get(SAMPLES)
    return f"{samples.key_prefix}:" if samples is not None else ""


def _classifications(organisation: OrganisationSettings) -> list[str]:
    """Return the classifications that purchases of an organisation are sent with."""
    chosen = [organisation.purchases.classification] if organisation.purchases else []
    return chosen + ([organisation.samples.classification] if organisation.samples.purchase else [])


def _limits(spec: DestinationSpec, destination: DestinationSettings) -> Limits:
    given = destination.limits.model_fields_set
    chosen = destination.limits
    default = spec.default_limits
    return Limits(
        calls_per_second=chosen.calls_per_second
        if "calls_per_second" in given
        else default.calls_per_second,
        concurrency=chosen.concurrency if "concurrency" in given else default.concurrency,
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _problem(file: Path, location: Location, problem: str, remedy: str) -> ConfigProblem:
    try:
        line = read_document(file).line_of(location)
    except UnreadableError:
        line = 1
    field = ".".join(str(part) for part in location)
    return ConfigProblem(file=file, line=line, field=field, problem=problem, remedy=remedy)
