"""The CRM ends equal to what LOKE says, and stays silent when nothing changed."""

from crm_pipeline_tests.acceptance.conftest import MakeProduct
from crm_pipeline_tests.acceptance.oracle import differences
from crm_pipeline_tests.acceptance.product import Product


def wrong(product: Product, number: int = 0) -> list[str]:
    organisation = product.sandbox.settings.organisations[number]
    return differences(
        product.sandbox.loke.customers(organisation.id),
        product.sandbox.crm_com.contacts(organisation.crm_test_key),
    )


def writes(product: Product) -> int:
    log = product.sandbox.crm_com.requests
    return log.count("POST") + log.count("PUT")


def forget_requests(product: Product) -> None:
    product.sandbox.crm_com.requests.clear()
    product.sandbox.loke.requests.clear()


def test_the_first_sync_makes_the_crm_hold_what_loke_says(make_product: MakeProduct):
    product = make_product(acme=1_200)
    answer = product.run("sync", "--org", "acme")
    assert (answer.code, answer.err) == (0, "") or answer.code == 0, answer.err
    assert wrong(product) == []


def test_a_second_sync_without_changes_writes_nothing_and_reads_one_page(
    make_product: MakeProduct,
):
    product = make_product(acme=1_200)
    assert product.run("sync", "--org", "acme").code == 0
    forget_requests(product)
    assert product.run("sync", "--org", "acme").code == 0
    assert writes(product) == 0
    assert product.sandbox.loke.requests.count("GET") == 1


def test_a_full_sync_without_changes_writes_nothing(make_product: MakeProduct):
    product = make_product(acme=300)
    assert product.run("sync", "--org", "acme").code == 0
    forget_requests(product)
    assert product.run("sync", "--org", "acme", "--full").code == 0
    assert writes(product) == 0


def test_25_changed_customers_are_25_updates_and_no_other_write(make_product: MakeProduct):
    product = make_product(acme=1_200)
    assert product.run("sync", "--org", "acme").code == 0
    organisation = product.sandbox.settings.organisations[0]
    product.sandbox.loke.mutate(organisation.id, count=25, seed=3)
    forget_requests(product)
    assert product.run("sync", "--org", "acme").code == 0
    log = product.sandbox.crm_com.requests
    assert (log.count("PUT"), log.count("POST")) == (25, 0)
    assert wrong(product) == []


def test_two_organisations_with_the_same_customers_do_not_mix(make_product: MakeProduct):
    product = make_product(acme=50, beta=60)
    assert product.run("sync", "--all").code == 0
    assert wrong(product, 0) == []
    assert wrong(product, 1) == []


def test_a_failing_organisation_does_not_stop_the_others(make_product: MakeProduct):
    product = make_product(acme=20, beta=20)
    organisation = product.sandbox.settings.organisations[0]
    (product.config / "acme.yaml").write_text(
        (product.config / "acme.yaml").read_text().replace(organisation.id, "01HUNKNOWN")
    )
    answer = product.run("sync", "--all")
    assert answer.code == 78
    assert "acme" in answer.err + answer.out
    assert wrong(product, 1) == []
