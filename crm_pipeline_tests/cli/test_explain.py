"""Where a value comes from, and who somebody is at the source, as the command line tells it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.cli.conftest import Run

PLUM = SandboxOrganisation(id="01HPLUM", name="Plum", slug="plum", customers=30, payments=12)
FILE = """
sources:
  loke:
    base_url: {loke}
    organisation_id: 01HPLUM
    datasets: [customers, payments]
destinations:
  crm_com:
    base_url: {crm}
    limits: {{calls_per_second: 1000, concurrency: 4}}
    sends: [contacts, products, purchases]
purchases: {{go_live: "2019-01-01T00:00:00Z"}}
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=(PLUM,))) as running:
        yield running


@pytest.fixture
def plum(sandbox: Sandbox, environ: dict[str, str], run: Run) -> Sandbox:
    """Plum, synced once."""
    folder = Path(environ["CRM_PIPELINE_CONFIG"])
    text = FILE.format(loke=sandbox.loke_url, crm=sandbox.crm_com_url)
    (folder / "plum.yaml").write_text(text)
    environ |= {
        "LOKE_CLIENT_ID": "sandbox-client",
        "LOKE_CLIENT_SECRET": "sandbox-secret",
        "CRM_COM_KEY_PLUM": PLUM.crm_test_key,
    }
    synced = run("sync", "--org", "plum")
    assert synced.code == 0, synced.err
    return sandbox


def customer_of(sandbox: Sandbox) -> dict[str, object]:
    found = sandbox.loke.mutate("plum", count=1)
    return {"id": found[0]}


def test_every_value_of_a_contact_is_told_with_page_plan_mapping_and_answer(
    plum: Sandbox, run: Run
) -> None:
    source_id = customer_of(plum)["id"]
    told = run("explain", "plum", "contact", str(source_id), "--json").document
    assert told["key"] == f"loke:{source_id}"
    assert (told["outcome"]["kind"], told["outcome"]["outcome"]) == ("create", "applied")
    (row,) = told["rows"]
    assert (row["dataset"], row["id"], row["origin"]) == ("loke/customers", source_id, "pull")
    assert len(row["page_digest"]) == 32
    fields = {each["name"]: each for each in told["fields"]}
    assert fields["first_name"]["columns"] == ["loke/customers.first_name"]
    assert "wrote" not in json.dumps(told)
    assert told["mapping_version"]
    assert told["plan_digest"]


def test_values_and_live_values_are_shown_only_when_asked_for(plum: Sandbox, run: Run) -> None:
    source_id = str(customer_of(plum)["id"])
    shown = run("explain", "plum", "contact", source_id, "first_name", "--values", "--live")
    document = run(
        "explain", "plum", "contact", source_id, "first_name", "--values", "--live", "--json"
    ).document
    (field,) = document["fields"]
    assert field["wrote"] == field["found"]
    assert str(field["wrote"]) in shown.out
    plain = run("explain", "plum", "contact", source_id)
    assert plain.code == 0
    assert str(field["wrote"]) not in plain.out


def test_an_opt_out_is_told_with_the_answers_that_decide_it(plum: Sandbox, run: Run) -> None:
    source_id = str(customer_of(plum)["id"])
    plum.loke.mutate("plum", ids=[source_id], fields={"hasAgreedToMarketing": False})
    assert run("sync", "--org", "plum").code == 0
    told = run("explain", "plum", "contact", source_id, "email_opt_out", "--json").document
    (field,) = told["fields"]
    assert field["consents"][-1]["is_granted"] is False
    assert field["consents"][-1]["origin"] == "loke"


def test_a_purchase_is_told_from_its_payment(plum: Sandbox, run: Run) -> None:
    reference = Desk(plum.crm_com, "crm_test_plum").purchases()[0]["reference_number"]
    told = run("explain", "plum", "purchase", reference, "--json").document
    assert [row["dataset"] for row in told["rows"]] == ["loke/payments"]
    assert told["crm_id"]


def test_what_nobody_knows_is_said_and_nothing_else(plum: Sandbox, run: Run) -> None:
    answer = run("explain", "plum", "contact", "nobody")
    assert answer.code == 65
    assert "has no contact 'loke:nobody'" in answer.err
    assert run("explain", "plum", "sausage", "x").code == 78


def test_a_customer_is_found_by_id_and_by_address(plum: Sandbox, run: Run) -> None:
    source_id = str(customer_of(plum)["id"])
    plum.loke.mutate("plum", ids=[source_id], fields={"email": "only.one@example.com"})
    found = run("customers", "find", "--org", "plum", "--email", "only.one@example.com", "--json")
    assert [each["id"] for each in found.document["customers"]] == [source_id]
    assert "only.one" not in run("customers", "find", "--org", "plum", "--id", source_id).out
    shown = run("customers", "find", "--org", "plum", "--id", source_id, "--values")
    assert "only.one@example.com" in shown.out
    nobody = run("customers", "find", "--org", "plum", "--phone", "+61400000000")
    assert (nobody.code, "Nobody was found." in nobody.out) == (65, True)
    assert run("customers", "find", "--org", "plum").code == 78
