"""What tests of single faults share: installations, desks, benches and a shop that sells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline_tests.acceptance.conftest import make_product  # noqa: F401  a fixture
from crm_pipeline_tests.acceptance.trading import Trading, trading
from crm_pipeline_tests.sync.conftest import (  # noqa: F401  fixtures
    bench,
    crm_sandbox,
    desk,
    running,
    shared_clock,
)
from crm_pipeline_tests.sync.mailroom import Mailbox, cut_off, opened


@pytest.fixture
def mailbox(desk) -> Iterator[Mailbox]:  # noqa: F811  the fixture above
    with opened(desk) as made:
        yield made


@pytest.fixture
def alone(mailbox: Mailbox) -> Iterator[Mailbox]:
    """A mailbox while LOKE cannot be reached."""
    with cut_off(mailbox) as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Trading]:
    with trading(tmp_path) as made:
        made.loke.switch(payments_earn=False)
        yield made
