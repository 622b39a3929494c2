"""One sandbox for the whole folder, put back to its beginning before each test."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from crm_pipeline.core.ports import ConflictRule, DestinationApi, DestinationConnection
from crm_pipeline.core.records import Change, ChangeKind, Fields, Limits, Waits
from crm_pipeline.destinations import load_destinations
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings

ORGANISATION = SandboxOrganisation(
    id="01HTEST0RGAN1SAT10N0000001", name="Test Cafe", slug="test-cafe", customers=0
)
KEY = ORGANISATION.crm_test_key

WAITS = Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=3, connect_seconds=1.0)

MINA: Fields = {
    "first_name": "Mina",
    "last_name": "Okafor",
    "email": "mina.okafor@example.com",
    "phone_country": "AUS",
    "phone_number": "400000001",
    "date_of_birth": "1990-05-17",
    "gender": "FEMALE",
    "email_opt_out": False,
    "sms_opt_out": True,
    "custom.loke_customer_id": "A",
    "custom.loke_points_balance": "1250",
    "custom.loke_total_spend": "184.50",
}


def make_change(
    kind: ChangeKind = "create",
    *,
    key: str = "loke:A",
    after: Fields = MINA,
    changed: tuple[str, ...] = (),
    before: Fields | None = None,
    crm_id: str | None = None,
    withheld: tuple[str, ...] = (),
) -> Change:
    return Change(
        seq=1,
        lane=1,
        kind=kind,
        object_kind="contact",
        key=key,
        crm_id=crm_id,
        before=before,
        after=after,
        changed=changed or tuple(after),
        withheld=withheld,
        reason="new",
        fingerprint="f",
        version_at=dt.datetime(2025, 11, 21, tzinfo=dt.UTC),
    )


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION,))) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.crm_com.reset()
    return running


Connect = Callable[..., DestinationApi]


def holding(kind: str) -> list[str]:
    """Return the names of the destinations that hold objects of a kind."""
    specs = load_destinations().items()
    return sorted(name for name, spec in specs if any(each.name == kind for each in spec.kinds))


@pytest.fixture(params=holding("contact"))
def connect(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Connect]:
    opened: list[DestinationApi] = []

    def connect(
        *, key: str = KEY, conflict: ConflictRule = "withhold", url: str = ""
    ) -> DestinationApi:
        api = load_destinations()[request.param].connect(
            DestinationConnection(
                organisation=ORGANISATION.slug,
                base_url=url or sandbox.crm_com_url,
                api_key=lambda: key,
                limits=Limits(),
                waits=WAITS,
                conflict=conflict,
                options={},
            )
        )
        opened.append(api)
        return api

    yield connect
    for api in opened:
        api.close()


@pytest.fixture
def api(connect: Connect) -> DestinationApi:
    return connect()
