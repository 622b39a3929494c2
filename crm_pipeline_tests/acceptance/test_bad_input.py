"""What bad input gets: a clear error with an exit code, that part set aside, the rest done."""

import json

import pytest

from crm_pipeline.sandbox import FaultRule
from crm_pipeline_tests.acceptance.conftest import MakeProduct
from crm_pipeline_tests.acceptance.product import Product
from crm_pipeline_tests.acceptance.test_convergence import wrong


def edit(product: Product, slug: str, old: str, new: str) -> None:
    path = product.config / f"{slug}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_broken_file_names_file_line_and_remedy_and_stops_nobody_else(make_product: MakeProduct):
    product = make_product(acme=5, beta=5)
    edit(product, "acme", "concurrency: 4", "concurrency: many")
    answer = product.run("sync", "--all")
    assert answer.code == 78
    told = answer.out + answer.err
    assert "acme.yaml" in told
    assert "concurrency" in told
    line = 1 + next(
        number
        for number, text in enumerate((product.config / "acme.yaml").read_text().splitlines())
        if "concurrency" in text
    )
    assert str(line) in told
    assert wrong(product, 1) == []


def test_an_unknown_organisation_is_named_with_the_known_ones(make_product: MakeProduct):
    answer = make_product(acme=1).run("sync", "--org", "acne")
    assert answer.code == 78
    assert "acne" in answer.err
    assert "acme" in answer.err


def test_a_secret_that_is_not_there_is_named_by_its_place(make_product: MakeProduct):
    product = make_product(acme=1)
    edit(product, "acme", "LOKE_CLIENT_SECRET", "LOKE_FORGOTTEN")
    answer = product.run("sync", "--org", "acme")
    assert answer.code == 78
    assert "LOKE_FORGOTTEN" in answer.err


def test_a_wrong_secret_is_a_matter_of_configuration_and_is_not_shown(make_product: MakeProduct):
    product = make_product(acme=1)
    product.waits["LOKE_CLIENT_SECRET"] = "canary-of-a-secret"
    answer = product.run("sync", "--org", "acme")
    assert answer.code == 78
    assert "crm-pipeline doctor" in answer.err
    assert "canary" not in answer.out + answer.err


@pytest.mark.parametrize(
    "rule",
    [
        FaultRule(kind="not_json", path="/customers", times=None),
        FaultRule(kind="truncate", path="/customers", times=None, keep_bytes=200),
    ],
    ids=["not JSON", "half a page"],
)
def test_a_page_that_cannot_be_read_stops_the_pull_and_is_made_up_for_later(
    make_product: MakeProduct, rule: FaultRule
):
    product = make_product(acme=20)
    product.sandbox.loke.faults.add(rule)
    answer = product.run("sync", "--org", "acme")
    assert answer.code in (65, 75), answer.err
    assert "Traceback" not in answer.err
    product.sandbox.loke.faults.clear()
    assert product.run("sync", "--org", "acme").code == 0
    assert wrong(product) == []


def test_a_next_link_to_another_host_is_refused_without_the_token(make_product: MakeProduct):
    product = make_product(acme=1_500)
    product.sandbox.loke.faults.add(
        FaultRule(kind="next_link", path="/customers", times=None, link="other_host")
    )
    answer = product.run("sync", "--org", "acme")
    assert answer.code == 65
    assert "points to another server" in answer.err
    assert "no token was sent" in answer.err
    product.sandbox.loke.faults.clear()
    assert product.run("sync", "--org", "acme").code == 0
    assert wrong(product) == []


def test_a_record_without_an_id_is_set_aside_and_the_others_go_on(make_product: MakeProduct):
    product = make_product(acme=20)
    organisation = product.sandbox.settings.organisations[0]
    (victim,) = product.sandbox.loke.mutate(organisation.id, count=1)
    product.sandbox.loke.mutate(organisation.id, ids=[victim], fields={"id": None})
    answer = product.run("sync", "--org", "acme")
    assert answer.code in (0, 65), answer.err
    rejects = json.loads(product.run("rejects", "list", "--org", "acme", "--json").out)
    assert "record_without_id" in json.dumps(rejects)
    assert len(product.sandbox.crm_com.contacts(organisation.crm_test_key)) == 19


def test_a_crm_answer_that_is_not_json_is_looked_up_and_nothing_is_doubled(
    make_product: MakeProduct,
):
    product = make_product(acme=20)
    product.sandbox.crm_com.faults.add(FaultRule(kind="not_json", method="POST", times=5))
    assert product.run("sync", "--org", "acme").code == 0
    assert wrong(product) == []
