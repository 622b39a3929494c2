"""``orgs``, ``status`` and ``rejects``: commands that need files and the ledger, no network."""

import json
from pathlib import Path

import pytest

from crm_pipeline.core.records import Reject
from crm_pipeline.settings import load_settings
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.cli.conftest import MINIMAL, Run
from crm_pipeline_tests.cli.test_boundary import HEAVY, modules_after


def write(environ: dict[str, str], name: str, text: str = MINIMAL) -> Path:
    file = Path(environ["CRM_PIPELINE_CONFIG"]) / name
    file.write_text(text)
    return file


def test_an_added_organisation_is_right_at_once(run: Run, environ: dict[str, str]) -> None:
    added = run("orgs", "add", "blue-bakery", "--loke-id", "01HRP5", "--name", 'Blue "B": #1')
    assert added.code == 0
    assert "CRM_COM_KEY_BLUE_BAKERY" in added.out
    listed = run("orgs", "list", "--json").document
    assert [(each["slug"], each["name"]) for each in listed["organisations"]] == [
        ("blue-bakery", 'Blue "B": #1')
    ]
    assert run("orgs", "check").code == 0


@pytest.mark.parametrize(
    "slug", ["../b", "A", "a/b", "", "a_b", "x" * 41, "\U0001f363", "a\n", "."]
)
def test_a_slug_that_is_none_is_not_written_anywhere(
    run: Run, environ: dict[str, str], slug: str
) -> None:
    assert run("orgs", "add", slug, "--loke-id", "X").code == 78
    assert list(Path(environ["CRM_PIPELINE_CONFIG"]).iterdir()) == []


def test_a_slug_of_digits_and_an_odd_id_survive_yaml(run: Run) -> None:
    assert run("orgs", "add", "007", "--loke-id", "1e5").code == 0
    assert run("status", "--json").document["organisations"].keys() == {"007"}


def test_a_bad_id_leaves_no_file_behind(run: Run, environ: dict[str, str]) -> None:
    answer = run("orgs", "add", "blue", "--loke-id", "a/../b")
    assert answer.code == 78
    assert "organisation_id" in answer.err
    assert list(Path(environ["CRM_PIPELINE_CONFIG"]).iterdir()) == []


def test_an_organisation_is_not_added_twice(run: Run, environ: dict[str, str]) -> None:
    file = write(environ, "other.yaml", "slug: blue\n" + MINIMAL)
    assert run("orgs", "add", "blue", "--loke-id", "X").code == 78
    assert run("orgs", "add", "other", "--loke-id", "X").code == 78
    assert file.read_text() == "slug: blue\n" + MINIMAL


def test_check_names_every_problem_with_file_and_line(run: Run, environ: dict[str, str]) -> None:
    write(environ, "good.yaml")
    write(environ, "bad.yaml", "slug: [")
    write(environ, "worse.yaml", MINIMAL + "paused: 1\nname: 2\n")
    answer = run("orgs", "check", "--json")
    assert answer.code == 78
    assert answer.document["usable"] == ["good"]
    found = {
        (Path(each["file"]).name, each["line"], each["field"])
        for each in answer.document["problems"]
    }
    assert found == {("bad.yaml", 2, ""), ("worse.yaml", 3, "paused"), ("worse.yaml", 4, "name")}


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("sources:\n  lokee:\n    organisation_id: X\n    base_url: https://x.example\n"
         "destinations: {crm_com: }\n", 2, "sources.lokee", "loke"),
        ("sources:\n  loke:\n    organisation_id: X\n    datasets:\n    - customers\n    - cats\n"
         "destinations: {crm_com: }\n", 6, "sources.loke.datasets.1", "customers"),
        ("sources: {loke: {organisation_id: X, datasets: []}}\ndestinations: {crm_com: }\n", 1,
         "sources.loke.datasets", "customers"),
        ("sources: {loke: {organisation_id: X}}\ndestinations:\n  crm_con:\n"
         "    base_url: https://x.example\n", 3, "destinations.crm_con", "crm_com"),
        ("sources: {loke: {organisation_id: X}}\ndestinations:\n  crm_com:\n    field_policies:\n"
         "      e_mail: never\n", 5, "destinations.crm_com.field_policies.e_mail", "email"),
        (MINIMAL + "mapping:\n  first_name: {from: nope}\n  email: {transform: email}\n",
         4, "mapping.first_name", ""),
        (MINIMAL + "currency: XXQ\nmapping: {}\n", 3, "currency", ""),
    ],
)  # fmt: skip
def test_a_name_that_nothing_installed_knows_is_a_problem_with_its_line(
    run: Run, environ: dict[str, str], text: str, line: int, field: str, says: str
) -> None:
    write(environ, "a.yaml", text)
    write(environ, "good.yaml")
    answer = run("orgs", "check", "--json")
    (problem,) = answer.document["problems"]
    assert (problem["line"], problem["field"]) == (line, field)
    assert says in problem["remedy"]
    assert answer.document["usable"] == ["good"]
    refused = run("doctor", "a")
    assert refused.code == 78
    assert f"a.yaml:{line}: {field}" in refused.err


def test_no_organisation_at_all_is_not_all_right(run: Run) -> None:
    assert run("orgs", "check").code == 78
    assert run("sync", "--all").code == 78
    assert "orgs add" in run("orgs", "list").out


def test_a_paused_organisation_is_shown_as_paused_until_it_is_resumed(
    run: Run, environ: dict[str, str]
) -> None:
    write(environ, "blue.yaml")
    assert run("orgs", "pause", "blue").code == 0
    assert run("status", "--json").document["organisations"]["blue"]["is_paused"] is True
    assert run("orgs", "list", "--json").document["organisations"][0]["paused"] is True
    assert "paused" in run("status").out
    assert run("orgs", "resume", "blue").code == 0
    assert run("status", "--json").document["organisations"]["blue"]["is_paused"] is False


def test_what_the_file_pauses_only_the_file_resumes(run: Run, environ: dict[str, str]) -> None:
    write(environ, "blue.yaml", MINIMAL + "paused: true\n")
    answer = run("orgs", "resume", "blue")
    assert answer.code == 78
    assert "blue.yaml" in answer.err


def test_an_unknown_organisation_cannot_be_paused(run: Run) -> None:
    assert run("orgs", "pause", "nobody").code == 78


def test_the_schema_is_json(run: Run) -> None:
    assert json.loads(run("orgs", "schema").out)["required"] == ["sources", "destinations"]


def test_status_has_every_figure_that_operators_rely_on(run: Run, environ: dict[str, str]) -> None:
    write(environ, "blue.yaml")
    write(environ, "bad.yaml", "slug: [")
    document = run("status", "--json").document
    assert document["organisations"]["blue"].keys() >= {
        "inbox_pending", "outbox_pending", "unknown", "rejected", "watermarks", "last_success",
        "oldest_pending_seconds",
    }  # fmt: skip
    assert [Path(each["file"]).name for each in document["broken"]] == ["bad.yaml"]


def test_status_of_one_organisation_shows_that_one(run: Run, environ: dict[str, str]) -> None:
    write(environ, "blue.yaml")
    write(environ, "red.yaml")
    assert run("status", "--org", "red", "--json").document["organisations"].keys() == {"red"}
    assert run("status", "--org", "green").code == 78


def test_status_loads_neither_dagster_nor_the_lake(environ: dict[str, str]) -> None:
    write(environ, "blue.yaml")
    loaded = modules_after("status", environ=environ)
    assert "crm_pipeline.store.ledger" in loaded
    assert loaded & (HEAVY - {"sqlalchemy"}) == set()


def test_rejects_show_keys_and_reasons_and_people_only_when_asked(
    run: Run, environ: dict[str, str]
) -> None:
    write(environ, "blue.yaml")
    reject = Reject(
        stage="apply",
        dataset="contact",
        key="loke:1",
        reason="medium_taken",
        detail="email",
        payload='{"email": "canary@example.com"}',
    )
    with Runtime(load_settings(environ)) as runtime:
        runtime.ledger.rejects.add("blue", "crm_com", [reject])
    plain, whole = (
        run("rejects", "list", "--org", "blue"),
        run("rejects", "list", "--org", "blue", "--values", "--json"),
    )
    assert "medium_taken" in plain.out
    assert "loke:1" in plain.out
    assert "canary" not in plain.out
    assert whole.document["counts"] == {"medium_taken": 1}
    assert "canary" in whole.document["rejects"][0]["payload"]


def test_the_ledger_can_be_migrated_again_and_again(run: Run) -> None:
    assert [run("ledger", "migrate").code for _ in range(2)] == [0, 0]


def test_state_is_private(run: Run, environ: dict[str, str]) -> None:
    write(environ, "blue.yaml")
    run("status")
    home = Path(environ["CRM_PIPELINE_HOME"])
    assert [each for each in (home, *home.rglob("*")) if each.stat().st_mode & 0o077] == []
