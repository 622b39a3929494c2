"""One sandbox and one installation for a test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline_tests.acceptance.product import Product

MakeProduct = Callable[..., Product]


def an_organisation(number: int, name: str, customers: int) -> SandboxOrganisation:
    return SandboxOrganisation(
        id=f"01HACCEPTANCE{number:013d}",
        name=name,
        customers=customers,
        crm_test_key=f"crm_test_{number}",
        crm_live_key=f"crm_live_{number}",
    )


@pytest.fixture
def make_product(tmp_path: Path) -> Iterator[MakeProduct]:
    """Start a sandbox with organisations of the given sizes and install the product beside it."""
    running: list[Sandbox] = []

    def make(**sizes: int) -> Product:
        organisations = tuple(
            an_organisation(number, name.replace("_", " ").title(), customers)
            for number, (name, customers) in enumerate(sizes.items())
        )
        sandbox = Sandbox(SandboxSettings(organisations=organisations))
        sandbox.start()
        running.append(sandbox)
        product = Product(tmp_path, sandbox)
        for organisation in organisations:
            product.add(organisation)
        return product

    yield make
    for sandbox in running:
        sandbox.stop()
