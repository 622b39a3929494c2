"""The pages as a reader uses them: links that lead somewhere, commands that run."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.errors import (
    EXIT_BUG,
    EXIT_CHANGES,
    EXIT_CONFIGURATION,
    EXIT_DATA,
    EXIT_OK,
    EXIT_TRY_LATER,
)
from crm_pipeline.sandbox import Sandbox, SandboxSettings
from crm_pipeline.sandbox.settings import demo_organisations
from crm_pipeline_tests.docs.reading import (
    PAGES,
    ROOT,
    anchors,
    links,
    sections,
    text_of,
    typed_lines,
    whole_files,
)

#: Commands that end by themselves, need no screen and write nothing outside their own folder.
RUNNABLE = {
    "status", "doctor", "rejects list", "sync", "pull", "plan", "plan show", "plan list", "apply",
    "verify", "orgs list", "orgs check", "orgs schema", "orgs pause", "orgs resume",
    "ledger migrate", "explain", "customers find", "webhooks reset", "webhooks list",
    "webhooks delete", "pos identify", "pos purchase", "pos frontend", "pos void", "pos return",
    "pos codes", "pos orders list", "pos orders reasons",
}  # fmt: skip
#: The smallest of the demo's organisations: the ids on the pages are those of its people.
ORGANISATION = demo_organisations()[0]
FILE = """\
sources:
  loke:
    base_url: "{loke}"
    organisation_id: {id}
    datasets: [customers, payments, list_members]
    webhooks: {{url: "http://127.0.0.1:9", secret: {{env: LOKE_HOOK}}}}
  sopost:
    base_url: "{sopost}"
    entity_type: Organisation
    entity_id: {sopost_id}
    webhooks: {{url: "http://127.0.0.1:9", secret: {{env: SOPOST_HOOK}}}}
destinations:
  crm_com:
    base_url: "{crm_com}"
    sends: [products, contacts, memberships, purchases]
    limits: {{calls_per_second: 1000, concurrency: 4}}
purchases: {{go_live: "2019-01-01T00:00:00Z"}}
lists:
  - {{id: 01D03BBF000000001BVVJKARJP, name: Loyal Customers, tag: "LOKE: Loyal Customers"}}
"""

Group = typer.core.TyperGroup
Run = Callable[[Sequence[str]], tuple[int, str, str]]


def root() -> Group:
    group = typer.main.get_command(app)
    assert isinstance(group, Group)
    return group


def all_commands(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Give each command by its whole name; a group that does something by itself, too."""
    for name, command in group.commands.items():
        here = (*path, name)
        if isinstance(command, Group):
            if command.invoke_without_command:
                yield " ".join(here), command
            yield from all_commands(command, here)
        else:
            yield " ".join(here), command


def command_of(words: Sequence[str]) -> tuple[str, Any, list[str]]:
    """Return the command that some words name, and its own arguments."""
    command: Any = root()
    rest = list(words)
    path = []
    while isinstance(command, Group) and rest and rest[0] in command.commands:
        path.append(rest[0])
        command = command.commands[rest.pop(0)]
    return " ".join(path), command, rest


COMMANDS = dict(all_commands(root()))
TYPED = [(page, words) for page in PAGES for words in typed_lines(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    wrong = []
    for link in links(page):
        if re.match(r"[a-z]+://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_on_the_map_or_in_the_index_of_decisions() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (ROOT / "docs/index.md", ROOT / "docs/adr/README.md")
        for link in links(page)
    }
    pages = {page for page in PAGES if page.parent != ROOT and page.name != "index.md"}
    assert pages - linked == set()


def test_every_command_has_a_section_of_its_own_and_no_section_is_about_another() -> None:
    headings = {
        title.strip("`").removeprefix("crm-pipeline ")
        for title in sections("docs/cli.md")
        if title.startswith("`crm-pipeline ")
    }
    assert headings == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_is_in_its_section(name: str) -> None:
    text = sections("docs/cli.md")[f"`crm-pipeline {name}`"]
    if name == "sandbox":
        text += text_of("docs/sandbox.md")
    options = {
        option
        for parameter in COMMANDS[name].params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    }
    assert {option for option in options if option not in text} == set()


def test_every_exit_code_is_in_the_table() -> None:
    table = sections("docs/cli.md")["Exit codes"]
    codes = (EXIT_OK, EXIT_CHANGES, EXIT_DATA, EXIT_BUG, EXIT_TRY_LATER, EXIT_CONFIGURATION)
    assert [code for code in codes if f"\n| {code} | " not in table] == []


@pytest.mark.parametrize(("page", "words"), TYPED)
def test_every_command_line_on_a_page_is_accepted_as_it_stands(
    page: Path, words: list[str]
) -> None:
    name, command, arguments = command_of(words)
    assert name in COMMANDS, f"{page.name}: crm-pipeline {' '.join(words)}"
    command.make_context(name, arguments)  # raises when it is refused


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert handle_failures(app, [*name.split(), "--help"], {}) == EXIT_OK
    assert "Usage: crm-pipeline" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, number) for page in PAGES for number in range(len(whole_files(page)))],
)
def test_every_organisation_file_on_a_page_is_right(
    page: Path, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "harbour-coffee.yaml").write_text(
        re.sub("^slug: .*$", "", whole_files(page)[number], flags=re.MULTILINE)
    )
    environ = {"CRM_PIPELINE_HOME": str(tmp_path / "home"), "CRM_PIPELINE_CONFIG": str(tmp_path)}
    assert handle_failures(app, ["orgs", "check"], environ) == EXIT_OK, capsys.readouterr().out


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Run commands on one organisation of the sandbox, with state of their own."""
    monkeypatch.chdir(tmp_path)  # some write pictures beside them
    settings = SandboxSettings(organisations=(ORGANISATION,))
    with Sandbox(settings) as sandbox:
        config = tmp_path / "organisations"
        config.mkdir()
        file = FILE.format(
            loke=sandbox.loke_url,
            sopost=sandbox.sopost_url,
            crm_com=sandbox.crm_com_url,
            id=ORGANISATION.id,
            sopost_id=ORGANISATION.sopost_id,
        )
        (config / "harbour-coffee.yaml").write_text(file)
        environ = {
            "CRM_PIPELINE_HOME": str(tmp_path / "home"),
            "CRM_PIPELINE_CONFIG": str(config),
            "LOKE_CLIENT_ID": settings.client_id,
            "LOKE_CLIENT_SECRET": settings.client_secret,
            "LOKE_HOOK": "hook-of-loke",
            "SOPOST_USER_ID": settings.sopost_user_id,
            "SOPOST_PASSWORD": settings.sopost_password,
            "SOPOST_HOOK": "hook-of-sopost",
            "CRM_COM_KEY_HARBOUR_COFFEE": ORGANISATION.crm_test_key,
        }

        def run_command(words: Sequence[str]) -> tuple[int, str, str]:
            capsys.readouterr()
            code = handle_failures(app, words, environ)
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        yield run_command


def is_runnable(words: Sequence[str]) -> bool:
    """Whether a documented command fits the one organisation and ends by itself."""
    name, _, arguments = command_of(words)
    is_about_another = "blue-bakery" in arguments or "3f9c2a7b11aa" in arguments
    is_endless = "--loop" in arguments or "--ask-otp" in arguments
    return name in RUNNABLE and not is_about_another and not is_endless


def test_the_commands_of_getting_started_carry_an_organisation_to_the_crm(run: Run) -> None:
    page = ROOT / "docs/getting-started.md"
    renamed = [
        [word.replace("blue-bakery", "harbour-coffee") for word in words]
        for words in typed_lines(page)
        if words[:2] != ["orgs", "add"]
    ]
    codes = {}
    for words in renamed:
        # The demo's commands come first on the page; here nothing has been synced yet.
        if is_runnable(words) and words != ["sync", "--org", "harbour-coffee"]:
            codes[" ".join(words)] = run(words)[0]
    assert codes["doctor harbour-coffee"] == EXIT_OK
    assert codes["plan --org harbour-coffee"] == EXIT_CHANGES
    assert codes["apply --org harbour-coffee"] == EXIT_OK
    _, out, _ = run(["verify", "--org", "harbour-coffee", "--json"])
    drift = json.loads(out)["drift"]["crm_com"]
    assert drift["checked"] > ORGANISATION.customers
    assert drift["is_clean"]
    code, out, _ = run(["sync", "--org", "harbour-coffee", "--json"])
    assert (code, json.loads(out)["exit_code"]) == (EXIT_OK, EXIT_OK)


@pytest.mark.parametrize("page", ["docs/cli.md", "docs/operations.md"])
def test_the_commands_of_a_page_run_one_after_the_other(run: Run, page: str) -> None:
    assert run(["sync", "--all"])[0] == EXIT_OK
    failed = {}
    for words in filter(is_runnable, typed_lines(ROOT / page)):
        code, out, err = run(words)
        if code not in (EXIT_OK, EXIT_CHANGES):
            failed[" ".join(words)] = (code, err)
        if "--json" in words:
            json.loads(out)
    assert failed == {}
