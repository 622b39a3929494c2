"""Organisation files: read, checked one by one, then against each other.

Here: which organisation is usable and what is wrong with the others. A file that is not right
sets only its own organisation aside (fault O06); two files that contradict each other set both
aside, since nothing tells which of them is meant.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from crm_pipeline.errors import ConfigurationError, OrganisationUnknownError
from crm_pipeline.settings.environment import Settings
from crm_pipeline.settings.explaining import explain_error
from crm_pipeline.settings.organisation import OrganisationSettings
from crm_pipeline.settings.problems import ConfigProblem
from crm_pipeline.settings.vendors import fill_defaults
from crm_pipeline.settings.yamlfile import Document, Location, UnreadableError, read_document


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedOrganisations:
    """Usable organisations by slug, their files, and the problems of the files set aside."""

    organisations: Mapping[str, OrganisationSettings]
    files: Mapping[str, Path]
    broken: Mapping[Path, Sequence[ConfigProblem]]

    @property
    def problems(self) -> tuple[ConfigProblem, ...]:
        """Every problem of every file, in the order of the files."""
        return tuple(each for problems in self.broken.values() for each in problems)

    def require(self, slug: str) -> OrganisationSettings:
        """Return one organisation.

        Raises ConfigurationError with every problem of its file, or OrganisationUnknownError.
        """
        organisation = self.organisations.get(slug)
        if organisation is not None:
            return organisation
        for file, problems in self.broken.items():
            if file.stem == slug:
                raise unusable(slug, problems)
        aside = ", ".join(file.name for file in self.broken)
        raise OrganisationUnknownError(
            f"No organisation is called {slug!r}. Known: {_some(self.organisations)}."
            + (f" Files set aside: {aside}." if aside else ""),
            not_done="Nothing was done.",
            remedy="See `crm-pipeline orgs list`, or add it with `crm-pipeline orgs add`.",
        )


def unusable(slug: str, problems: Sequence[ConfigProblem]) -> ConfigurationError:
    """Return the error of an organisation whose file has problems, with all of them."""
    listed = "\n".join(f"  {problem}" for problem in problems)
    return ConfigurationError(
        f"The file of {slug} cannot be used:\n{listed}",
        not_done="Nothing was done for this organisation.",
        remedy="Correct the file, then run `crm-pipeline orgs check`.",
    )


def _some(slugs: Collection[str]) -> str:
    names = sorted(slugs)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(names[:20]) or "none") + more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A file that is right by itself."""

    file: Path
    document: Document
    organisation: OrganisationSettings


def load_organisations(settings: Settings) -> LoadedOrganisations:
    """Read every organisation file of the configured folder; a missing folder holds none."""
    candidates: list[_Candidate] = []
    broken: dict[Path, list[ConfigProblem]] = {}
    for file in _files(settings.config_folder):
        result = _load_file(file)
        if isinstance(result, _Candidate):
            candidates.append(result)
        else:
            broken[file] = result
    for problem in (*_same_slug(candidates), *_same_account(candidates)):
        broken.setdefault(problem.file, []).append(problem)
    usable = [each for each in candidates if each.file not in broken]
    return LoadedOrganisations(
        organisations={each.organisation.slug: each.organisation for each in usable},
        files={each.organisation.slug: each.file for each in usable},
        broken={file: broken[file] for file in sorted(broken)},
    )


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        each
        for each in folder.iterdir()
        if each.suffix in (".yaml", ".yml") and not each.name.startswith((".", "_"))
    )


def _load_file(file: Path) -> _Candidate | list[ConfigProblem]:
    try:
        document = read_document(file)
    except UnreadableError as error:
        return [
            ConfigProblem(file=file, line=line, field="", problem=problem, remedy=remedy)
            for line, problem, remedy in error.reasons
        ]
    try:
        filled = fill_defaults(document.data, file.stem)
        return _Candidate(
            file=file, document=document, organisation=OrganisationSettings.from_plain(filled)
        )
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [
            explain_error(detail, file, document)
            for detail in details
            if not _follows_from_another(detail["loc"], document)
        ]
        return sorted(problems, key=lambda each: each.line)


def _follows_from_another(location: Location, document: Document) -> bool:
    """Return whether a token address was filled in from a base address that is refused itself."""
    return location[-1:] == ("token_url",) and location not in document.lines


def _same_slug(candidates: Sequence[_Candidate]) -> Iterator[ConfigProblem]:
    groups: dict[str, list[_Candidate]] = defaultdict(list)
    for each in candidates:
        groups[each.organisation.slug].append(each)
    for slug, group in groups.items():
        for each in group if len(group) > 1 else ():
            yield _conflict(
                each,
                ("slug",),
                f"The slug `{slug}` is also used by {_others(each, group)}.",
                "Give each organisation a slug of its own.",
            )


def _same_account(candidates: Sequence[_Candidate]) -> Iterator[ConfigProblem]:
    groups: dict[tuple[str, str], list[tuple[_Candidate, str]]] = defaultdict(list)
    for each in candidates:
        for name, destination in each.organisation.destinations.items():
            account = (destination.base_url.casefold(), destination.api_key.place)
            groups[account].append((each, name))
    for group in groups.values():
        files = [each for each, _ in group]
        undeclared = [
            each for each, name in group if not each.organisation.destinations[name].shared_account
        ]
        for each, name in group if len(group) > 1 and undeclared else ():
            yield _conflict(
                each,
                ("destinations", name, "api_key"),
                f"The same CRM account (address and key) is used by {_others(each, files)}.",
                "Name another key, or set `shared_account: true` in every one of these files.",
            )


def _others(one: _Candidate, group: Sequence[_Candidate]) -> str:
    names = sorted({each.file.name for each in group if each.file != one.file})
    return ", ".join(names) or "this file twice"


def _conflict(each: _Candidate, location: Location, problem: str, remedy: str) -> ConfigProblem:
    return ConfigProblem(
        file=each.file,
        line=each.document.line_of(location),
        field=".".join(str(part) for part in location),
        problem=problem,
        remedy=remedy,
    )
