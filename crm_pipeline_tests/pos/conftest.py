"""One sandbox for the whole folder, put back to its beginning before each test."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Limits, Waits
from crm_pipeline.http import Seams
from crm_pipeline.pos import Means, PointOfSale, Sale, SaleLine
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop

ORGANISATION = SandboxOrganisation(id="01HTEST0RGAN1SAT10N0000009", name="Till Cafe", slug="till")
KEY = ORGANISATION.crm_test_key
NOW = dt.datetime(2025, 11, 21, 10, tzinfo=dt.UTC)
WAITS = Waits(
    retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=3, connect_seconds=1.0,
    timeout_seconds=5.0, settle_seconds=2.0,
)  # fmt: skip

MINA = {
    "person_name": {"first_name": "Mina", "last_name": "Okafor"},
    "code": "loke:A",
    "email_address": "mina@example.com",
    "phone": {"country_code": "AUS", "number": "400000001", "type": "MOBILE"},
    "loyalty_identifiers": [{"identifier": "100000001908"}],
}
OMAR = {
    "person_name": {"first_name": "Omar", "last_name": "Haddad"},
    "code": "loke:B",
    "email_address": "omar@example.com",
    "phone": {"country_code": "NZL", "number": "400000001", "type": "MOBILE"},
}

Open = Callable[..., PointOfSale]


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION,))) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.crm_com.reset()
    return running


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return Desk(sandbox.crm_com, KEY)


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    return Shop(sandbox.crm_com, KEY)


@pytest.fixture
def open_pos(sandbox: Sandbox) -> Iterator[Open]:
    with ExitStack() as opened:

        def open_one(**more: object) -> PointOfSale:
            connection = DestinationConnection(
                organisation=ORGANISATION.slug,
                base_url=sandbox.crm_com_url,
                api_key=lambda: KEY,
                limits=Limits(),
                waits=WAITS,
                conflict="withhold",
                options={},
            )
            seams = Seams(clock=lambda: NOW, sleep=lambda _seconds: None)
            made = {"currency": "AUD", "seams": seams, **more}
            return opened.enter_context(PointOfSale(connection, **made))  # type: ignore[arg-type]

        yield open_one


@pytest.fixture
def pos(open_pos: Open) -> PointOfSale:
    return open_pos()


@pytest.fixture
def mina(sandbox: Sandbox) -> str:
    """Mina's id; Omar is there as well, with the same digits in another country."""
    mina, _ = sandbox.crm_com.add(KEY, [MINA, OMAR])
    return mina


def sale_of(*totals: int, **more: object) -> Sale:
    """Return a sale of Mina's with one line a total, each a tenth of it tax."""
    lines = tuple(
        SaleLine(sku=f"SKU-{number}", total=total, tax=total // 10, name=f"Thing {number}")
        for number, total in enumerate(totals or (1450,), 1)
    )
    wanted = {
        "reference": "R-1", "currency": "AUD", "lines": lines,
        "buyer": Means(kind="code", value="loke:A"), **more,
    }  # fmt: skip
    return Sale(**wanted)  # type: ignore[arg-type]


def posts(sandbox: Sandbox, part: str = "/purchases") -> int:
    """Count the calls that ask to write something."""
    log = sandbox.crm_com.requests.entries()
    return sum(each.method in ("POST", "PUT") and part in each.path for each in log)
