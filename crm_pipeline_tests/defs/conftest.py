"""A whole small world: sandbox servers, organisation files, ledger, lake, a Dagster instance."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from crm_pipeline.definitions import defs
from crm_pipeline.defs.partitions import PARTITION_NAME
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Received
from crm_pipeline.wiring import Runtime, open_runtime_from_environment

SLUGS = ("alfa", "bravo", "charlie")
SENDS_ALL = ["contacts", "products", "memberships", "purchases"]
#: Where webhooks go while no receiver runs.
NOWHERE = "http://127.0.0.1:9"
#: Dagster writes every event to standard error, too; tests need none of them there.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class World:
    """Everything that a test touches. ``sandbox`` may be changed while it runs."""

    root: Path
    sandbox: Sandbox
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def dagster_home(self) -> Path:
        return self.root / "dagster"

    def file_of(self, slug: str) -> Path:
        return self.root / "organisations" / f"{slug}.yaml"

    @property
    def slugs(self) -> tuple[str, ...]:
        return tuple(each.slug for each in self.sandbox.settings.organisations)

    def loke_id(self, slug: str) -> str:
        (found,) = [each.id for each in self.sandbox.settings.organisations if each.slug == slug]
        return found

    def contacts(self, slug: str) -> int:
        """Count the contacts of an organisation at the fake CRM."""
        return self.sandbox.crm_com.count(f"crm_test_{slug}")

    def writes(self) -> int:
        """Count the writes that the fake CRM has seen."""
        log = self.sandbox.crm_com.requests.entries()
        return sum(each.method != "GET" for each in log)

    def pages(self) -> int:
        """Count the pages of customers that the fake LOKE was asked for."""
        log = self.sandbox.loke.requests.entries()
        return sum(each.method == "GET" and "customers" in each.route for each in log)

    def write(self, slug: str, loke_id: str, *, paused: bool = False, **destination: Any) -> None:
        """Write an organisation's file."""
        document = {
            "slug": slug,
            "sources": {
                "loke": {
                    "base_url": self.sandbox.loke_url,
                    "token_url": self.sandbox.token_url,
                    "organisation_id": loke_id,
                }
            },
            "destinations": {
                "crm_com": {
                    "base_url": self.sandbox.crm_com_url,
                    "limits": {"calls_per_second": 2_000},
                    **destination,
                }
            },
            "paused": paused,
        }
        self.file_of(slug).parent.mkdir(exist_ok=True)
        self.file_of(slug).write_text(yaml.safe_dump(document))

    def write_whole(self, slug: str, *, is_hooked: bool = False, **members: Any) -> None:
        """Write the file of an organisation that reads from every source and sends everything."""
        crm_com: dict[str, Any] = {"datasets": ["orders"]}
        if is_hooked:
            crm_com["webhooks"] = {"url": NOWHERE, "secret": {"env": "HOOK_SECRET"}}
        self.write(slug, self.loke_id(slug), sends=SENDS_ALL)
        document = yaml.safe_load(self.file_of(slug).read_text())
        document["sources"]["loke"] |= {
            "datasets": ["customers", "payments", "list_members"],
            "webhooks": {"url": NOWHERE, "secret": {"env": "HOOK_SECRET"}},
        }
        document["sources"] |= {
            "crm_com": crm_com,
            "catalogue": {"location": str(self.catalogue), "format": "csv"},
            "sopost": {
                "base_url": self.sandbox.sopost_url,
                "entity_type": "Organisation",
                "entity_id": self.sandbox.settings.organisations[0].sopost_id,
            },
        }
        document["purchases"] = {"go_live": "2015-01-01T00:00:00Z"}
        document["lists"] = [
            {"id": "LST-LOYAL", "name": "Loyal Customers", "tag": "LOKE: Loyal Customers"}
        ]
        document |= members
        self.file_of(slug).write_text(yaml.safe_dump(document))
        if not self.catalogue.exists():
            self.list_products("Flat white")

    @property
    def catalogue(self) -> Path:
        """The catalogue's file."""
        return self.root / "catalogue.csv"

    def list_products(self, *names: str) -> None:
        """Write the catalogue anew."""
        rows = [f"SKU-{number},{name},4.50,AUD" for number, name in enumerate(names)]
        self.catalogue.write_text("\n".join(["sku,name,price,currency", *rows, ""]))

    def tell(self, slug: str, *, source: str = "loke", event: str = "catch-up") -> int:
        """Put a webhook into the inbox, as the receiver does; by default: that some were missed."""
        with self.runtime() as runtime:
            number = next(self.numbers)
            received = Received(
                organisation=slug,
                source=source,
                event=event,
                entity_id="",
                dedup=f"told {number}",
                body=b"{}",
                received_at=runtime.clock(),
            )
            return runtime.ledger.inbox.append([received])[0].number

    def runtime(self) -> Runtime:
        """Open the product as the environment says; close it yourself (``with``)."""
        return open_runtime_from_environment()

    def materialise(
        self, keys: str, *slugs: str, config: dict[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run assets (keys with blanks between, ``*`` for all) with their checks.

        One organisation is a partition, several are a range of them, as in a backfill.
        """
        job = self.definitions.resolve_implicit_global_asset_job_def()
        graph = self.definitions.resolve_asset_graph()
        wanted = (
            sorted(graph.materializable_asset_keys)
            if keys == "*"
            else [dg.AssetKey(key.split("/")) for key in keys.split()]
        )
        tags = {
            "dagster/asset_partition_range_start": slugs[0],
            "dagster/asset_partition_range_end": slugs[-1],
        }
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=wanted,
            raise_on_error=False,
            run_config={"ops": config or {}, **QUIET},
            **({"partition_key": slugs[0]} if len(slugs) == 1 else {"tags": tags}),
        )

    def run_job(self, name: str, op: str, **config: Any) -> dg.ExecuteInProcessResult:
        """Run one of the jobs with its op's configuration."""
        return self.definitions.resolve_job_def(name).execute_in_process(
            instance=self.instance,
            run_config={**QUIET, **({"ops": {op: {"config": config}}} if config else {})},
            raise_on_error=False,
        )

    def materialised(self, key: str) -> set[str]:
        """Return the partitions of an asset that were ever materialised."""
        return set(self.instance.get_materialized_partitions(dg.AssetKey(key.split("/"))))


@pytest.fixture(scope="session")
def sandbox_organisations() -> tuple[SandboxOrganisation, ...]:
    return tuple(
        SandboxOrganisation(id=f"01HSANDB0XDEFS{number:012d}", name=slug, customers=12)
        for number, slug in enumerate(SLUGS)
    )


@pytest.fixture(scope="session")
def definitions() -> dg.Definitions:
    """What Dagster loads, built once: it holds no state."""
    return defs()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger without rows, to be copied."""
    home = tmp_path_factory.mktemp("ledger")
    environment = {"CRM_PIPELINE_HOME": str(home), "CRM_PIPELINE_TEST": "1"}
    with Runtime(load_settings(environment)) as runtime:
        runtime.migrate_ledger()
    return home


@pytest.fixture
def open_instance(tmp_path: Path) -> Callable[[], AbstractContextManager[dg.DagsterInstance]]:
    """How a test gets its Dagster instance: in memory, unless the files are what it looks at."""
    return lambda: dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster"))


@pytest.fixture
def make_world(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    definitions: dg.Definitions,
    empty_ledger: Path,
    open_instance: Callable[[], AbstractContextManager[dg.DagsterInstance]],
) -> Iterator[Callable[[tuple[SandboxOrganisation, ...]], World]]:
    """Build a world around some organisations; everything ends with the test."""
    opened = ExitStack()

    def make(organisations: tuple[SandboxOrganisation, ...]) -> World:
        sandbox = opened.enter_context(Sandbox(SandboxSettings(organisations=organisations)))
        for name, value in {
            "CRM_PIPELINE_HOME": str(tmp_path / "home"),
            "CRM_PIPELINE_CONFIG": str(tmp_path / "organisations"),
            "CRM_PIPELINE_TEST": "1",
            "CRM_PIPELINE_RETRY_BASE_MS": "1",
            "CRM_PIPELINE_RETRY_MAX_MS": "5",
            "CRM_PIPELINE_SETTLE_MS": "0",
            "CRM_PIPELINE_TIMEOUT_S": "5",
            "LOKE_CLIENT_ID": sandbox.settings.client_id,
            "LOKE_CLIENT_SECRET": sandbox.settings.client_secret,
            "SOPOST_USER_ID": sandbox.settings.sopost_user_id,
            "SOPOST_PASSWORD": sandbox.settings.sopost_password,
            "HOOK_SECRET": "hook-secret-of-the-tests",
            **{
                f"CRM_COM_KEY_{each.slug.upper().replace('-', '_')}": each.crm_test_key
                for each in organisations
            },
        }.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "dagster").mkdir()
        instance = opened.enter_context(open_instance())
        world = World(root=tmp_path, sandbox=sandbox, instance=instance, definitions=definitions)
        for each in organisations:
            world.write(each.slug, each.id)
        shutil.copytree(empty_ledger, tmp_path / "home")
        instance.add_dynamic_partitions(PARTITION_NAME, [each.slug for each in organisations])
        return world

    with opened:
        yield make


@pytest.fixture
def world(
    make_world: Callable[[tuple[SandboxOrganisation, ...]], World],
    sandbox_organisations: tuple[SandboxOrganisation, ...],
) -> World:
    """Three organisations of twelve people each."""
    return make_world(sandbox_organisations)


@pytest.fixture
def shop(make_world: Callable[[tuple[SandboxOrganisation, ...]], World]) -> World:
    """One organisation that sells, has lists, a catalogue, samples and webhooks."""
    world = make_world(
        (
            SandboxOrganisation(
                id="01HSANDB0XSH0P000000000001",
                name="alfa",
                customers=12,
                payments=8,
            ),
        )
    )
    loke = world.sandbox.loke
    loke.create_list("alfa", "Loyal Customers", list_id="LST-LOYAL")
    loke.add_members("alfa", "LST-LOYAL", [each["id"] for each in loke.customers("alfa")][:3])
    world.write_whole("alfa")
    return world
