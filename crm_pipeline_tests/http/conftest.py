"""Time and chance held still."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from crm_pipeline.core.records import Waits
from crm_pipeline.http import ApiClient, Credentials, Seams

WAITS = Waits(
    retry_base_seconds=1.0,
    retry_max_seconds=60.0,
    attempts=4,
    connect_seconds=2.0,
    timeout_seconds=2.0,
)


class StillTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.passed_seconds = 0.0

    def seams(self) -> Seams:
        start = dt.datetime(2025, 11, 21, 10, tzinfo=dt.UTC)
        return Seams(
            clock=lambda: start + dt.timedelta(seconds=self.passed_seconds),
            monotonic=lambda: self.passed_seconds,
            sleep=self.sleep,
            chance=lambda: 1.0,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed_seconds += seconds


@pytest.fixture
def still_time() -> StillTime:
    return StillTime()


MakeClient = Callable[..., ApiClient]


@pytest.fixture
def make_client(still_time: StillTime) -> Iterator[MakeClient]:
    made: list[ApiClient] = []

    def make(url: str, credentials: Credentials | None = None, **options: object) -> ApiClient:
        settings: dict[str, object] = {"waits": WAITS, "seams": still_time.seams(), **options}
        client = ApiClient(url, credentials=credentials, **settings)  # type: ignore[arg-type]
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
