"""Organisation files: what is accepted, what is refused, at which line, with which way out."""

import dataclasses
import json
from pathlib import Path

import pytest

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.records import Limits
from crm_pipeline.errors import ConfigurationError, OrganisationUnknownError
from crm_pipeline.settings import load_organisations, load_settings, organisation_schema
from crm_pipeline.settings.organisation import GuardSettings, LimitSettings
from crm_pipeline_tests.settings.conftest import MINIMAL, LoadFiles

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_minimal_file_is_enough(load_files: LoadFiles) -> None:
    loaded = load_files({"harbour-coffee.yaml": MINIMAL})
    organisation = loaded.organisations["harbour-coffee"]
    loke, crm = organisation.sources["loke"], organisation.destinations["crm_com"]
    assert (organisation.name, organisation.paused) == ("Harbour Coffee", False)
    assert loke.base_url == "https://api.loke.global"
    assert loke.token_url == "https://auth.loke.global/token"
    assert (loke.datasets, loke.key_prefix) == (("customers",), "loke")
    assert loke.client_secret.env == "LOKE_CLIENT_SECRET"
    assert crm.base_url == "https://sandbox.crm.com/backoffice/v2"
    assert crm.api_key.env == "CRM_COM_KEY_HARBOUR_COFFEE"
    assert crm.verify.sample is None


def test_a_live_destination_has_the_live_address(load_files: LoadFiles) -> None:
    text = MINIMAL.replace("crm_com: {}", "crm_com: {mode: live}")
    crm = load_files({"a.yaml": text}).organisations["a"].destinations["crm_com"]
    assert crm.base_url == "https://app.crm.com/backoffice/v2"


def test_the_token_address_follows_a_base_address_of_ones_own(load_files: LoadFiles) -> None:
    text = MINIMAL.replace("{organisation_id", "{base_url: http://127.0.0.1:1/, organisation_id")
    loke = load_files({"a.yml": text}).organisations["a"].sources["loke"]
    assert (loke.base_url, loke.token_url) == ("http://127.0.0.1:1", "http://127.0.0.1:1/token")


def test_a_broken_file_sets_only_its_own_organisation_aside(load_files: LoadFiles) -> None:
    loaded = load_files({"good.yaml": MINIMAL, "bad.yaml": "slug: [unclosed\n"})
    assert set(loaded.organisations) == {"good"}
    ((file, problems),) = loaded.broken.items()
    assert file.name == "bad.yaml"
    assert "This is not YAML" in problems[0].problem


def broken(section: str, line: str) -> str:
    """Return a file whose wrong line is the fifth, in the section named."""
    parts = {
        "top": "sources: {loke: {organisation_id: X}}\ndestinations: {crm_com: {}}\n#\n#\n" + line,
        "loke": "destinations: {crm_com: {}}\nsources:\n  loke:\n    organisation_id: X\n    "
        + line,
        "crm": "sources: {loke: {organisation_id: X}}\ndestinations:\n  crm_com:\n"
        "    on_missing: keep\n    " + line,
    }
    return parts[section] + "\n"


@pytest.mark.parametrize(
    ("section", "line", "field", "says"),
    [
        ("top", "slugg: a", "slugg", "Did you mean `slug`?"),
        ("top", "slug: 12", "slug", "in quotes"),
        ("top", "slug: ../b", "slug", "small letters"),
        ("top", "slug: a/b", "slug", "small letters"),
        ("top", "slug: A", "slug", "small letters"),
        ("top", "slug: ''", "slug", "small letters"),
        ("top", f"slug: {'a' * 41}", "slug", "small letters"),
        ("top", f"slug: {'a' * 300}", "slug", "small letters"),
        ("top", "slug: \U0001f363", "slug", "small letters"),
        ("top", "slug: a_b", "slug", "small letters"),
        ("top", "slug: 100%", "slug", "small letters"),
        ("top", "slug: -a", "slug", "small letters"),
        ("top", 'slug: "a\\n"', "slug", "small letters"),
        ("top", "paused: 'no'", "paused", "true or false"),
        (
            "top",
            "mapping: {last_name: {on_invalid: guess}}",
            "mapping.last_name.on_invalid",
            "drop",
        ),
        ("top", "mapping: {last_name: {form: x}}", "mapping.last_name.form", "Did you mean `from`"),
        ("top", "schedules: {full_scan: daily}", "schedules.full_scan", "five cron fields"),
        ("top", "schedules: {full_scn: daily}", "schedules.full_scn", "Did you mean"),
        ("loke", "client_secret: canary", "sources.loke.client_secret", "{env: NAME"),
        ("loke", "client_secret: {canary: }", "sources.loke.client_secret", "{env: NAME"),
        ("loke", "client_secret: {env: canary-x}", "sources.loke.client_secret", "capitals"),
        ("loke", "client_secret: {file: canary}", "sources.loke.client_secret", "absolute path"),
        ("loke", "client_id: {env: A, file: /b}", "sources.loke.client_id", "exactly one"),
        ("loke", "datasets: customers", "sources.loke.datasets", "a list"),
        ("loke", "overlap_seconds: -1", "sources.loke.overlap_seconds", "greater than or equal"),
        ("loke", "overlap_seconds: .nan", "sources.loke.overlap_seconds", "finite"),
        ("loke", 'key_prefix: "a:b"', "sources.loke.key_prefix", "key prefix"),
        ("crm", "mode: prod", "destinations.crm_com.mode", "'test' or 'live'"),
        (
            "crm",
            "limits: {calls_per_second: 0}",
            "destinations.crm_com.limits.calls_per_second",
            "0",
        ),
        ("crm", "limits: 20", "destinations.crm_com.limits", "block"),
        (
            "crm",
            "guards: {max_update_share: 2}",
            "destinations.crm_com.guards.max_update_share",
            "1",
        ),
        ("crm", "verify: {sample: 0}", "destinations.crm_com.verify.sample", "`all`"),
        (
            "crm",
            "field_policies: {email: maybe}",
            "destinations.crm_com.field_policies.email",
            "if-",
        ),
        ("crm", "on_missing: keep", "", "already set on line 4"),
        ("crm", "api_key: *canary", "", "not supported"),
        ("crm", "api_key: !canary x", "", "tags"),
        ("crm", "5: x", "", "in quotes"),
    ],
)
def test_a_wrong_line_is_named_with_its_field_and_a_way_out(
    load_files: LoadFiles, section: str, line: str, field: str, says: str
) -> None:
    loaded = load_files({"a.yaml": broken(section, line)})
    (problem,) = loaded.problems
    assert (problem.line, problem.field) == (5, field)
    assert says in f"{problem.problem} {problem.remedy}"
    assert "canary" not in str(problem)


@pytest.mark.parametrize(
    "address",
    [
        "http://api.loke.global",
        "http://10.0.0.1",
        "https://169.254.169.254/latest",
        "http://169.254.169.254/latest",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://0251.0376.0251.0376/",
        "http://127.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://metadata.google.internal/",
        "https://metadata.google.internal./",
        "https://user:canary@api.loke.global",
        "https://api.loke.global?key=canary",
        "https://api.loke.global#x",
        "https://api.loke.global:0/",
        "https://api.loke.global:99999/",
        "https:///x",
        "ftp://api.loke.global",
        "api.loke.global",
        "https://api.loke.global\\@evil.example",
        "https://localhost.evil_example/",
        "http://localhost.evil.example/",
        "https://\uff45xample.com/",
        "",
        " https://api.loke.global",
    ],
)
def test_an_address_that_must_not_be_called_is_refused(load_files: LoadFiles, address: str) -> None:
    loaded = load_files({"a.yaml": broken("loke", f"base_url: {json.dumps(address)}")})
    (problem,) = loaded.problems
    assert (problem.line, problem.field) == (5, "sources.loke.base_url")
    assert "canary" not in str(problem)


@pytest.mark.parametrize(
    "address",
    ["https://crm.example.com/v2", "https://10.1.2.3", "http://127.0.0.1:8801", "http://[::1]:1",
     "http://localhost:8801/x", "http://127.9.9.9"],
)  # fmt: skip
def test_https_and_loopback_are_accepted(load_files: LoadFiles, address: str) -> None:
    loaded = load_files({"a.yaml": broken("loke", f"base_url: {json.dumps(address)}")})
    assert loaded.organisations["a"].sources["loke"].base_url == address


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", 1, "no `field: value` lines"),
        (b"- a\n", 1, "no `field: value` lines"),
        (b"# only a remark\n", 1, "no `field: value` lines"),
        (b"a: 1\nb: \xff\n", 2, "UTF-8"),
        (b"a: 1\n\nb: \x00\n", 3, "character"),
        (b"a: 1\n\tb: 2\n", 2, "tab"),
        (b"a: &x [1]\nb: *x\n", 1, "Anchors"),
        (b"--- {a: 1}\n--- {b: 2}\n", 2, "not YAML"),
        (b"a: " + b"[" * 100_000, 1, "nested too deeply"),
        (b"a: " + b"x" * 300_000, 1, "larger than 256 KiB"),
        (b"a: " + b"9" * 10_000, 1, "number"),
    ],
)
def test_what_is_not_a_file_of_ours_is_refused_with_its_line(
    tmp_path: Path, content: bytes, line: int, says: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    loaded = load_organisations(load_settings({"CRM_PIPELINE_CONFIG": str(tmp_path)}))
    (problem,) = loaded.problems
    assert says in problem.problem
    assert problem.line == line


def test_a_missing_field_is_reported_at_the_section_that_lacks_it(load_files: LoadFiles) -> None:
    loaded = load_files({"a.yaml": "slug: a\nsources:\n  loke: {organisation_id: x}\n"})
    (problem,) = loaded.problems
    assert (problem.line, problem.field) == (1, "destinations")


def test_an_unknown_vendor_without_addresses_says_what_is_missing(load_files: LoadFiles) -> None:
    loaded = load_files({"a.yaml": MINIMAL + "  klaviyo: {}\n"})
    assert [each.field for each in loaded.problems] == ["destinations.klaviyo.base_url"]


def test_two_files_with_one_slug_are_both_set_aside(load_files: LoadFiles) -> None:
    other = MINIMAL.replace("01H", "02H")
    loaded = load_files({"a.yaml": MINIMAL, "b.yaml": "slug: a\n" + other, "c.yaml": MINIMAL})
    assert set(loaded.organisations) == {"c"}
    assert {(each.file.name, each.field) for each in loaded.problems} >= {
        ("a.yaml", "slug"),
        ("b.yaml", "slug"),
    }


SHARED = MINIMAL.replace("crm_com: {}", "crm_com: {api_key: {env: CRM_COM_KEY}}")
DECLARED = SHARED.replace("CRM_COM_KEY}", "CRM_COM_KEY}, shared_account: true")


def test_two_organisations_on_one_crm_account_are_refused(load_files: LoadFiles) -> None:
    loaded = load_files({"a.yaml": SHARED, "b.yaml": SHARED, "c.yaml": MINIMAL})
    assert set(loaded.organisations) == {"c"}
    problem = loaded.problems[0]
    assert (problem.line, problem.field) == (4, "destinations.crm_com.api_key")
    assert "b.yaml" in problem.problem
    assert "shared_account: true" in problem.remedy


def test_one_declaration_is_not_enough_for_a_shared_account(load_files: LoadFiles) -> None:
    assert not load_files({"a.yaml": DECLARED, "b.yaml": SHARED}).organisations


def test_a_shared_account_is_accepted_when_every_file_declares_it(load_files: LoadFiles) -> None:
    assert set(load_files({"a.yaml": DECLARED, "b.yaml": DECLARED}).organisations) == {"a", "b"}


def test_hidden_and_other_files_are_not_organisations(load_files: LoadFiles) -> None:
    loaded = load_files({"a.yaml": MINIMAL, ".b.yaml": "x", "_c.yaml": "x", "README.md": "x"})
    assert (set(loaded.organisations), loaded.broken) == ({"a"}, {})


def test_a_missing_folder_holds_no_organisations(tmp_path: Path) -> None:
    loaded = load_organisations(load_settings({"CRM_PIPELINE_CONFIG": str(tmp_path / "none")}))
    assert (loaded.organisations, loaded.broken) == ({}, {})


def test_the_demo_organisations_are_right_and_the_same_in_both_places() -> None:
    examples, packaged = (
        CHECKOUT / "organisations",
        CHECKOUT / "crm_pipeline" / "cli" / "demo" / "organisations",
    )
    loaded = load_organisations(load_settings({"CRM_PIPELINE_CONFIG": str(examples)}))
    assert loaded.problems == ()
    assert set(loaded.organisations) >= {"harbour-coffee", "northside-bakery", "metro-sushi"}
    for file in packaged.glob("*.yaml"):
        assert (examples / file.name).read_text() == file.read_text()


def test_the_schema_asks_only_for_what_has_no_default() -> None:
    schema = organisation_schema()
    required = {name: part.get("required") for name, part in schema["$defs"].items()}
    assert schema["required"] == ["sources", "destinations"]
    assert required["SourceSettings"] == []
    assert required["DestinationSettings"] == []
    assert "from" in schema["$defs"]["FieldMapping"]["properties"]
    assert json.loads(json.dumps(schema)) == schema


def test_guards_and_limits_have_the_same_fields_and_defaults_as_their_rules() -> None:
    assert GuardSettings().model_dump() == dataclasses.asdict(GuardRules())
    assert LimitSettings().model_dump() == dataclasses.asdict(Limits())


def test_an_unusable_organisation_is_refused_with_every_problem_of_its_file(
    load_files: LoadFiles,
) -> None:
    loaded = load_files({"a.yaml": broken("crm", "mode: x\n    limits: 1")})
    with pytest.raises(ConfigurationError) as caught:
        loaded.require("a")
    assert "a.yaml:5: destinations.crm_com.mode" in str(caught.value)
    assert "a.yaml:6: destinations.crm_com.limits" in str(caught.value)


def test_an_unknown_organisation_is_refused_with_those_that_are_known(
    load_files: LoadFiles,
) -> None:
    loaded = load_files({"a.yaml": MINIMAL, "other.yaml": "slug: b"})
    with pytest.raises(OrganisationUnknownError, match=r"Known: a\. Files set aside: other\.yaml"):
        loaded.require("b")
    assert loaded.require("a").slug == "a"


@pytest.mark.parametrize(
    "cron", ["0 3 * * *", "*/15 0-6,22 1 1-12/2 0,7", "59 23 31 12 7", "  0   3 * * * "]
)
def test_a_schedule_is_five_cron_fields(load_files: LoadFiles, cron: str) -> None:
    loaded = load_files({"a.yaml": MINIMAL + f"schedules: {{full_scan: {cron!r}}}"})
    assert loaded.organisations["a"].schedules.full_scan == " ".join(cron.split())


@pytest.mark.parametrize(
    "cron",
    ["", "daily", "0 3 * *", "0 3 * * * *", "60 3 * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *",
     "0 0 * * 8", "5-1 * * * *", "*/0 * * * *", "0 3 * * MON", "-1 3 * * *", "1, 3 * * *",
     "@daily"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(load_files: LoadFiles, cron: str) -> None:
    loaded = load_files({"a.yaml": MINIMAL + f"schedules: {{full_scan: {cron!r}}}"})
    (problem,) = loaded.problems
    assert (problem.line, problem.field) == (5, "schedules.full_scan")
