"""What one place of a file asks for and another makes impossible is a problem with its line."""

from pathlib import Path

import pytest

from crm_pipeline.settings import load_settings
from crm_pipeline.wiring import Runtime

LOKE = "sources:\n  loke: {{organisation_id: X, datasets: [{datasets}]}}\n"
CRM = "destinations:\n  {crm}: {{sends: [{sends}]{more}}}\n"


def problems_of(folder: Path, *, sends: str, datasets: str = "customers", top: str = "",
                crm: str = "crm_com", more: str = "") -> list[tuple[str, str]]:  # fmt: skip
    text = LOKE.format(datasets=datasets) + CRM.format(crm=crm, sends=sends, more=more) + top
    (folder / "acme.yaml").write_text(text)
    environ = {"CRM_PIPELINE_CONFIG": str(folder), "CRM_PIPELINE_HOME": str(folder / "home")}
    with Runtime(load_settings(environ)) as runtime:
        found = [each for problems in runtime.broken.values() for each in problems]
        return [(each.field, each.problem) for each in found]


def test_contacts_alone_need_nothing_more(tmp_path):
    assert problems_of(tmp_path, sends="contacts") == []


@pytest.mark.parametrize(
    ("sends", "datasets", "top", "field", "says"),
    [
        ("purchases", "payments", "", "destinations.crm_com.sends", "how payments become"),
        ("memberships", "list_members", "", "destinations.crm_com.sends", "No list is opted in"),
        ("products", "customers", "", "destinations.crm_com.sends", "products come from"),
        ("contacts", "customers", 'purchases: {go_live: "2026-01-31T00:00:00Z"}', "purchases",
         "No payments are read"),
        ("contacts", "customers", "lists: [{id: L, name: N, tag: T}]", "lists",
         "No list members are read"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_told_with_its_place(tmp_path, sends, datasets, top, field, says):
    found = problems_of(tmp_path, sends=sends, datasets=datasets, top=top)
    assert any(where == field and says in fault for where, fault in found), found


def test_a_crm_without_contacts_has_to_be_told_how_people_are_known(tmp_path):
    classic = {
        "sends": "purchases",
        "datasets": "payments",
        "crm": "crm_com_classic",
        "more": ", base_url: https://crm.example/crmapi/rest/v2",
    }
    live = '"2026-01-31T00:00:00Z"'
    (problem,) = problems_of(tmp_path, **classic, top=f"purchases: {{go_live: {live}}}")
    assert "has to know people" in problem[1]
    told = f"purchases: {{go_live: {live}, participant: email}}"
    assert problems_of(tmp_path, **classic, top=told) == []


def test_a_source_says_what_it_needs(tmp_path):
    (tmp_path / "acme.yaml").write_text("sources: {sopost: {}}\ndestinations: {crm_com: }\n")
    environ = {"CRM_PIPELINE_CONFIG": str(tmp_path), "CRM_PIPELINE_HOME": str(tmp_path / "home")}
    with Runtime(load_settings(environ)) as runtime:
        (problems,) = runtime.broken.values()
    assert {each.problem for each in problems} >= {
        "sopost needs `base_url`.",
        "sopost needs `entity_id`.",
        "sopost needs `entity_type`.",
    }
