"""What the tests of CRM.COM's kinds share: a connection of one's own, and changes of any kind."""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Change, ChangeKind, Fields, Limits, Waits
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.http import Seams
from crm_pipeline_tests.destinations.conftest import KEY, ORGANISATION

WAITS = Waits(
    retry_base_seconds=1.0,
    retry_max_seconds=4.0,
    attempts=2,
    connect_seconds=1.0,
    timeout_seconds=5.0,
    settle_seconds=2.0,
    lease_seconds=60.0,
)


class StillTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    @property
    def seams(self) -> Seams:
        start = dt.datetime(2025, 11, 21, 10, tzinfo=dt.UTC)
        return Seams(
            clock=lambda: start + dt.timedelta(seconds=sum(self.slept)),
            monotonic=lambda: sum(self.slept),
            sleep=self.slept.append,
            chance=lambda: 0.0,
        )


@contextmanager
def connected(
    url: str,
    *,
    time: StillTime | None = None,
    options: Mapping[str, str] | None = None,
    key: str = KEY,
) -> Iterator[CrmComApi]:
    """Connect to a server; nobody really sleeps."""
    api = CrmComApi(
        DestinationConnection(
            organisation=ORGANISATION.slug,
            base_url=url,
            api_key=lambda: key,
            limits=Limits(),
            waits=WAITS,
            conflict="withhold",
            options=options or {},
        ),
        seams=(time or StillTime()).seams,
    )
    try:
        yield api
    finally:
        api.close()


def change_of(
    object_kind: str,
    key: str,
    after: Fields,
    *,
    kind: ChangeKind = "create",
    changed: tuple[str, ...] = (),
    references: Mapping[str, str] | None = None,
    crm_id: str | None = None,
) -> Change:
    return Change(
        seq=1,
        lane=1,
        kind=kind,
        object_kind=object_kind,
        key=key,
        crm_id=crm_id,
        before=None,
        after=after,
        changed=changed or tuple(after),
        reason="new",
        fingerprint="f",
        version_at=None,
        references=references or {},
    )


def as_json(body: object) -> object:
    """Return a body as its receiver reads it."""
    return msgspec.json.decode(msgspec.json.encode(body))
