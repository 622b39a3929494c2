"""What the conformance suite must know of each source's twin in the sandbox.

A new source adds a ``SourceTwin``, a new dataset a ``DatasetTwin``; the suite does the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_pipeline.core.ports import Secret, SourceConnection
from crm_pipeline.core.records import Waits
from crm_pipeline.sandbox import Sandbox
from crm_pipeline_tests.sources.conftest import ORGANISATION

WAITS = Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=3, connect_seconds=1.0)


@dataclass(frozen=True, kw_only=True)
class SourceTwin:
    """One source's twin. ``secret`` names the secret that a test may spoil.

    ``entity`` names what says whose records are read: a field of the connection, or an option;
    ``unknown_entity`` is one that nobody has. ``remove`` takes our access away, if the source has
    a way to say so. ``token_path`` is where tokens come from, empty when there are none.
    """

    vendor: Callable[[Sandbox], Any]
    base_url: Callable[[Sandbox], str]
    secrets: Callable[[Sandbox], Mapping[str, str]]
    secret: str
    entity: str
    own_entity: str
    unknown_entity: str
    options: Mapping[str, str] = field(default_factory=dict)
    token_path: str = ""
    remove: Callable[[Sandbox, int], None] | None = None
    #: Subscribes where webhooks can be subscribed to: the address that a receiver would have.
    hook_url: str = ""

    def connection(
        self, sandbox: Sandbox, *, secret: str = "", entity: str = "", datasets: str = ""
    ) -> SourceConnection:
        """Return a connection to the twin, with another secret or entity where given."""
        values = dict(self.secrets(sandbox))
        if secret:
            values[self.secret] = secret
        chosen = entity or self.own_entity
        is_field = self.entity == "organisation_id"
        options = {**self.options, "datasets": datasets}
        return SourceConnection(
            organisation=ORGANISATION.slug,
            base_url=self.base_url(sandbox),
            token_url=sandbox.token_url if self.token_path else "",
            organisation_id=chosen if is_field else "",
            secrets={name: _reader(value) for name, value in values.items()},
            options=options if is_field else {**options, self.entity: chosen},
            waits=WAITS,
        )


def _reader(value: str) -> Secret:
    return lambda: value


@dataclass(frozen=True, kw_only=True)
class DatasetTwin:
    """One dataset's twin. ``path`` matches the calls that read its records.

    ``prepare`` puts records there; ``ids`` are those that must be landed, newest first where that
    is how they are read. ``unknown_id`` is a good id that nobody has, empty when the source cannot
    read one record. ``has_next_links`` says that pages hang together by LOKE's header.
    """

    source: str
    name: str
    path: str
    prepare: Callable[[Sandbox], object]
    ids: Callable[[Sandbox], Sequence[str]]
    unknown_id: str = ""
    bad_ids: tuple[str, ...] = ()
    has_next_links: bool = False


SOURCES: dict[str, SourceTwin] = {
    "loke": SourceTwin(
        vendor=lambda sandbox: sandbox.loke,
        base_url=lambda sandbox: sandbox.loke_url,
        secrets=lambda sandbox: {
            "client_id": sandbox.settings.client_id,
            "client_secret": sandbox.settings.client_secret,
        },
        secret="client_secret",
        entity="organisation_id",
        own_entity=ORGANISATION.id,
        unknown_entity="01HNOBODY00000000000000000",
        token_path="/token",
        remove=lambda sandbox, status: sandbox.loke.uninstall(ORGANISATION.id, status=status),
    ),
    "sopost": SourceTwin(
        vendor=lambda sandbox: sandbox.sopost,
        base_url=lambda sandbox: sandbox.sopost_url,
        secrets=lambda sandbox: {
            "user_id": sandbox.settings.sopost_user_id,
            "password": sandbox.settings.sopost_password,
        },
        secret="password",
        entity="entity_id",
        own_entity=ORGANISATION.sopost_id,
        unknown_entity="00000000-0000-4000-8000-000000000000",
        options={"entity_type": "Organisation"},
        hook_url="https://hooks.example.com/webhooks/sopost/test-cafe/long-and-random",
    ),
}

DATASETS: tuple[DatasetTwin, ...] = (
    DatasetTwin(
        source="loke",
        name="customers",
        path="customers",
        prepare=lambda sandbox: sandbox.loke.seed(ORGANISATION.id, 25),
        ids=lambda sandbox: [each["id"] for each in sandbox.loke.customers(ORGANISATION.id)],
        unknown_id="01HNOBODY00000000000000000",
        bad_ids=("../../organizations",),
        has_next_links=True,
    ),
    DatasetTwin(
        source="sopost",
        name="orders",
        path="/orders/",
        prepare=lambda sandbox: [sandbox.sopost.place(ORGANISATION.id) for _ in range(12)],
        ids=lambda sandbox: list(sandbox.sopost.orders),
        unknown_id="00000000-0000-4000-8000-000000000000",
        bad_ids=(
            "../../orders",
            "orders/x",
            "9a7b6c5d4e3f4a2b8c1d0e9f8a7b6c5d",
            "x" * 1_000_000,
            "",
        ),
    ),
)
