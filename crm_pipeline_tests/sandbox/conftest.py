"""A running sandbox with a clock that tests turn, and clients for both vendors."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings

SMALL = SandboxOrganisation(id="01HSANDB0XHARB0VRC0FFEE001", name="Harbour Coffee", customers=50)
BIG = SandboxOrganisation(id="01HSANDB0XN0RTHS1DEBAKE002", name="Northside Bakery", customers=5000)


class Clock:
    """A clock that stands still until a test turns it."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def turn(self, **amount: float) -> None:
        self.now += dt.timedelta(**amount)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(clock: Clock) -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with other settings; they are stopped at the end."""
    running: list[Sandbox] = []

    def start(**settings: Any) -> Sandbox:
        chosen = {"organisations": (SMALL, BIG), "clock": clock, **settings}
        sandbox = Sandbox(SandboxSettings(**chosen))
        sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def sandbox(run: Callable[..., Sandbox]) -> Sandbox:
    return run()


def new_token(sandbox: Sandbox) -> str:
    answer = httpx.post(
        sandbox.token_url,
        auth=(sandbox.settings.client_id, sandbox.settings.client_secret),
        data={"grant_type": "client_credentials"},
        verify=False,
    )
    token = answer.raise_for_status().json()["access_token"]
    assert isinstance(token, str)
    return token


@pytest.fixture
def connect() -> Iterator[Callable[[Sandbox], httpx.Client]]:
    """Open a LOKE client with a token."""
    opened: list[httpx.Client] = []

    def open_client(sandbox: Sandbox) -> httpx.Client:
        headers = {"Authorization": f"Bearer {new_token(sandbox)}"}
        client = httpx.Client(base_url=sandbox.loke_url, headers=headers, verify=False)
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def loke(sandbox: Sandbox, connect: Callable[[Sandbox], httpx.Client]) -> httpx.Client:
    return connect(sandbox)


@pytest.fixture
def crm(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A CRM.COM client with the test key of the small organisation."""
    headers = {"api_key": SMALL.crm_test_key}
    with httpx.Client(base_url=sandbox.crm_com_url, headers=headers, verify=False) as client:
        yield client


def scan(client: httpx.Client, url: str) -> list[list[dict[str, Any]]]:
    """Read all pages as a client should; returns them one by one."""
    pages: list[list[dict[str, Any]]] = []
    while url:
        answer = client.get(url).raise_for_status()
        pages.append(answer.json())
        url = answer.headers.get("X-Next-Page", "")
        assert len(pages) < 100, "the scan does not end"
    return pages


def rows_of(pages: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for page in pages for row in page]
