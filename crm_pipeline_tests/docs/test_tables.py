"""The tables of the pages, compared with the code that they describe."""

import importlib
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, get_args

import msgspec
import pydantic
import pytest

import crm_pipeline
from crm_pipeline.core import mapping, purchases
from crm_pipeline.core.policies import FieldPolicy
from crm_pipeline.core.records import OUTCOME_KINDS, Waits
from crm_pipeline.definitions import defs
from crm_pipeline.destinations import load_destinations
from crm_pipeline.destinations.crm_com import assumptions
from crm_pipeline.destinations.crm_com.contacts import writing
from crm_pipeline.destinations.crm_com.purchases.fields import PURCHASES, REFUNDS
from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.settings import environment, organisation, vendors
from crm_pipeline.sources import load_sources
from crm_pipeline.sources.catalogue import products as catalogue
from crm_pipeline.wiring.rules import KINDS_OF
from crm_pipeline_tests.docs.reading import (
    ROOT,
    code_names,
    names_in,
    sections,
    table,
    text_of,
)

CONFIGURATION = "docs/configuration.md"
MODELS = (
    "OrganisationSettings", "SourceSettings", "DestinationSettings", "LimitSettings",
    "GuardSettings", "VerifySettings", "FieldMapping", "ScheduleSettings", "WebhookSettings",
    "PurchaseSettings", "LocationSettings", "ListSettings", "ProductSettings", "SampleSettings",
    "ConsentSettings", "RetentionSettings",
)  # fmt: skip
#: Defaults that a table tells in words: another table has them, or they follow from others.
TOLD_IN_WORDS = {
    "mapping", "schedules", "limits", "guards", "field_policies", "verify", "datasets",
    "overlap_seconds", "sample", "from", "transform", "on_invalid", "placeholder", "purchases",
    "lists", "products", "samples", "webhooks", "sends", "locations", "questions", "consents",
    "approved_states", "channels", "format", "retention",
}  # fmt: skip
#: Its defaults depend on the vendor; another test looks at them.
OF_EVERY_VENDOR = "SourceSettings"
#: Codes of outcomes that set nothing aside.
NO_REJECTS = {
    "found", "nothing_to_send", "already_cancelled", "process_running", "out_of_time", "immutable",
    "partly_updated", "opt_out_kept", "code_taken", "id_unknown",
}  # fmt: skip
#: The modules of a destination that say how a change ended.
WRITERS = {"attempts", "writing", "refunding", "products"}


def fields_of(model: str) -> dict[str, Any]:
    """Return a settings model's fields by the name that a file uses."""
    found: type[pydantic.BaseModel] = getattr(organisation, model)
    return {field.alias or name: field for name, field in found.model_fields.items()}


@pytest.mark.parametrize("model", MODELS)
def test_every_field_of_an_organisation_file_is_in_its_table(model: str) -> None:
    rows = table(CONFIGURATION, model)
    assert [code_names(row[0])[0] for row in rows] == list(fields_of(model))
    assert [row for row in rows if len(row) != 3 or not row[2]] == []


@pytest.mark.parametrize("model", MODELS)
def test_the_defaults_in_the_tables_are_those_of_the_code(model: str) -> None:
    wrong = {}
    for row in table(CONFIGURATION, model):
        name = code_names(row[0])[0]
        field = fields_of(model)[name]
        if name in TOLD_IN_WORDS or (model == OF_EVERY_VENDOR and row[1] != "required"):
            continue
        if field.is_required():
            is_filled_in = name in organisation._FILLED_IN.get(model, ())
            if (row[1] == "required") is is_filled_in:
                wrong[name] = row[1]
        elif code_names(row[1]) not in ([json.dumps(field.default)], [str(field.default)]):
            wrong[name] = row[1]
    assert wrong == {}


def test_every_model_of_an_organisation_file_has_a_table() -> None:
    found = {
        name
        for name, each in vars(organisation).items()
        if isinstance(each, type) and issubclass(each, organisation._Frozen)
    }
    assert found - {"_Frozen"} == set(MODELS)


def test_every_source_is_listed_with_what_it_needs_and_how_its_datasets_are_read() -> None:
    rows = table(CONFIGURATION, "sources")
    expected = {
        name: (spec.needs, [f"`{each.name}` {each.reading}" for each in spec.datasets.values()])
        for name, spec in load_sources().items()
    }
    listed = {
        code_names(row[0])[0]: (frozenset(code_names(row[1])), row[2].split(", ")) for row in rows
    }
    assert listed == expected


def test_the_defaults_of_every_vendor_are_on_the_page() -> None:
    told = {code_names(row[0])[0]: row[1] for row in table(CONFIGURATION, OF_EVERY_VENDOR)}
    for name in load_sources():
        filled: Any = vendors.fill_defaults({"sources": {name: {}}}, "acme")["sources"]
        for field, value in filled[name].items():
            if isinstance(value, dict):
                assert f"`{{env: {value['env']}}}`" in told[field], (name, field)
            elif field in ("base_url", "token_url"):
                assert f"`{value}`" in told[field], (name, field)


def test_what_can_be_sent_is_listed_in_the_order_of_sending() -> None:
    rows = table(CONFIGURATION, "kinds")
    assert [code_names(row[1])[0] for row in rows] == [
        kind.name for kind in load_destinations()["crm_com"].kinds
    ]
    words = {kind: word for word, kinds in KINDS_OF.items() for kind in kinds}
    for word, kind, _, *held in rows:
        (name,) = code_names(kind)
        assert code_names(word) == [words[name]]
        for destination, cell in zip(("crm_com", "crm_com_classic"), held, strict=True):
            has_it = name in {each.name for each in load_destinations()[destination].kinds}
            assert cell == ("yes" if has_it else "no"), (name, destination)


def test_the_addresses_that_are_filled_in_are_on_the_page() -> None:
    text = text_of(CONFIGURATION)
    addresses = (vendors.LOKE_API, vendors.LOKE_ISSUER, *vendors.CRM_COM_BY_MODE.values())
    assert [each for each in addresses if each not in text] == []


def test_the_field_policies_are_those_of_the_code() -> None:
    section = text_of(CONFIGURATION).partition("#### Field policies")[2].partition("### ")[0]
    listed = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert listed == list(get_args(FieldPolicy))


def test_the_waits_have_the_unit_default_and_least_value_of_the_code() -> None:
    text = text_of(CONFIGURATION)
    for name, (field, per_second, least) in environment.WAITS.items():
        unit = "milliseconds" if per_second == 1000 else "seconds"
        default = getattr(Waits(), field) * per_second
        assert f"| `{name}` | {unit} | {default:g} | {least:g} |" in text


def test_every_variable_that_the_product_reads_is_on_the_page_and_no_other() -> None:
    read = set()
    for path in (*ROOT.glob("crm_pipeline/**/*.py"), *ROOT.glob("deploy/*")):
        if path.is_file():
            read |= set(re.findall(r"\bCRM_PIPELINE_[A-Z]+(?:_[A-Z]+)*\b", path.read_text()))
    assert set(re.findall(r"\bCRM_PIPELINE_[A-Z_]*[A-Z]", text_of(CONFIGURATION))) == read


def test_the_mapping_on_the_page_is_the_default_mapping() -> None:
    ways = {"leave_out": "left out", "placeholder": "`placeholder`: `-`"}
    rules = mapping.DEFAULT_LOKE_CUSTOMER.rules
    expected = [
        [f"`{each.target}`", f"`{each.source}`", f"`{each.transform}`", ways[each.on_invalid]]
        for each in rules
    ]
    rows = table("docs/mapping.md", "mapping")
    assert rows[: len(rules)] == expected
    assert [code_names(row[0])[0] for row in rows[len(rules) :]] == list(mapping.CONSENT_FIELDS)


def test_every_transform_is_explained() -> None:
    listed = names_in("docs/mapping.md", "transforms")
    assert sorted(listed) == sorted(mapping.TRANSFORMS)


def test_every_code_of_an_unusable_value_is_explained() -> None:
    source = (ROOT / "crm_pipeline/core/normalise.py").read_text()
    raised = set(re.findall(r'InvalidValueError\("(\w+)"\)', source))
    assert raised == set(names_in("docs/mapping.md", "transforms", 2))


def test_every_reason_of_a_refusal_by_the_crm_is_explained() -> None:
    reasons = {writing.INVALID_VALUE, writing.MEDIUM_TAKEN, writing.GONE, "record_without_id"}
    assert reasons <= set(names_in("docs/mapping.md", "rejects"))


def test_every_field_of_a_purchase_and_of_a_refund_is_explained() -> None:
    held = {*PURCHASES.fields, *REFUNDS.fields} - {"discount", "notes"}  # nothing fills these
    assert set(names_in("docs/mapping.md", "purchase")) == {*held, "participant"}


def test_every_reason_why_a_payment_makes_no_purchase_is_explained() -> None:
    listed = names_in("docs/mapping.md", "skipped")
    assert sorted(listed) == sorted(set(get_args(purchases.Skipped)) - {""})


def test_every_field_that_samples_fill_is_explained() -> None:
    source = (ROOT / "crm_pipeline/sync/resolve/samples.py").read_text()
    filled = set(re.findall(r'"(custom\.\w+)"', source))
    assert filled
    assert filled - set(names_in("docs/mapping.md", "samples")) == set()


def reject_reasons() -> Iterator[str]:
    """Give every code under which a record, an object, a list or an event is set aside."""
    yield from catalogue._FAULTS
    for place, pattern in (
        ("core/purchases.py", r'_RejectedError\("(\w+)"\)|issues=\("(\w+)"'),
        ("core/pulling.py", r'"(list_\w+)"'),
        ("sync/land/lists.py", r'"(list_(?!members)\w+)"'),
        ("sync/resolve/samples.py", r'"(identity_\w+)"'),
        ("sync/drain/events.py", r'Settled\("(\w+)", is_failed=True\)'),
        ("sync/drain/reading.py", r'"(not_found|bad_answer)"'),
        ("destinations", r'^[A-Z_]+ = "([a-z]+_[a-z_]+)"$'),
        ("destinations", r'UnfitError\(\s*"(\w+)"'),
        ("destinations", r'rejected\(\s*"(\w+)"'),
    ):
        root = ROOT / "crm_pipeline" / place
        for path in sorted(root.rglob("*/*.py")) if root.is_dir() else [root]:
            if root.is_file() or path.stem in WRITERS:
                for found in re.findall(pattern, path.read_text(), re.MULTILINE):
                    yield from filter(None, [found] if isinstance(found, str) else found)


def test_every_reason_to_set_something_aside_says_what_to_do() -> None:
    explained = set(names_in("docs/operations.md", "reviews"))
    explained |= set(names_in("docs/mapping.md", "rejects"))
    assert set(reject_reasons()) - NO_REJECTS - explained == set()


def test_the_outcomes_are_named_in_the_delivery_promise() -> None:
    text = text_of("docs/delivery-promise.md")
    assert [kind for kind in OUTCOME_KINDS if f"`{kind}`" not in text] == []


@lru_cache
def every_error() -> dict[str, int]:
    """Return the exit code of each error code of the package."""
    for module in pkgutil.walk_packages(crm_pipeline.__path__, "crm_pipeline."):
        if "migrations" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    return {kind.code: kind.exit_code for kind in below(CrmPipelineError)}


def below(kind: type[CrmPipelineError]) -> Iterator[type[CrmPipelineError]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def test_every_error_code_is_explained_with_its_exit_code() -> None:
    rows = table("docs/operations.md", "errors")
    assert {code_names(row[0])[0]: int(row[1]) for row in rows} == every_error()


def test_everything_that_dagster_shows_is_explained() -> None:
    shown = defs().get_repository_def()
    graph = shown.asset_graph
    page = "docs/operations.md"
    assets = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert set(names_in(page, "assets")) == assets
    automation = {each.name for each in shown.sensor_defs} | {
        each.name for each in shown.schedule_defs
    }
    assert set(names_in(page, "automation")) == automation
    jobs = {each.name for each in shown.get_all_jobs() if not each.name.startswith("__")}
    assert set(names_in(page, "jobs")) == jobs
    checks = {(each.name, each.asset_key.to_user_string()) for each in graph.asset_check_keys}
    rows = table(page, "checks")
    assert {(code_names(row[0])[0], code_names(row[1])[0]) for row in rows} == checks


def test_the_page_says_which_automation_starts_switched_on() -> None:
    shown = defs().get_repository_def()
    on = {each.name for each in shown.sensor_defs if each.default_status.value == "RUNNING"}
    on |= {each.name for each in shown.schedule_defs if each.default_status.value == "RUNNING"}
    sentence = sections("docs/operations.md")["Automation"].partition("Switch it on")[0]
    assert set(code_names(sentence)) == on


def test_the_layers_on_the_page_are_those_that_the_linter_checks() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = next(
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    rows = [code_names(row[0]) for row in table("docs/architecture.md", "layers")]
    assert rows == [re.findall(r"\w+", layer) for layer in layers]


def test_every_kind_of_fault_is_explained() -> None:
    kinds = get_args(FaultRule.__annotations__["kind"])
    assert names_in("docs/sandbox.md", "faults") == list(kinds)


def test_every_switch_of_the_sandbox_is_explained() -> None:
    sandbox = Sandbox()
    expected = [
        (server, name)
        for server, vendor in (
            ("LOKE", sandbox.loke),
            ("CRM.COM", sandbox.crm_com),
            ("SoPost", sandbox.sopost),
        )
        for name in msgspec.structs.asdict(vendor.switches)
    ]
    rows = table("docs/sandbox.md", "switches")
    assert [(row[0], code_names(row[1])[0]) for row in rows] == expected


def test_every_guess_about_crm_com_is_among_the_assumptions() -> None:
    guesses = {name for name in vars(assumptions) if name.isupper()}
    named = set(code_names(text_of("docs/vendor-assumptions.md")))
    assert guesses - named == set()


@pytest.mark.parametrize(
    "page", ["delivery-promise", "personal-data", "contributing", "vendor-assumptions"]
)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    named = [
        each
        for each in code_names(text_of(f"docs/{page}.md"))
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+", each) and not each.startswith(("landed", "desired"))
    ]
    missing = [
        each
        for each in named
        if not (ROOT / each).exists() and not (ROOT / "crm_pipeline" / each).exists()
    ]
    assert missing == []
