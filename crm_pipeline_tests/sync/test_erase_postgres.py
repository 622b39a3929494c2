"""The same erasure with the ledger in a server: no row of any table names the person."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from crm_pipeline.sandbox import Sandbox, SandboxSettings
from crm_pipeline_tests.sync.erasing import CANARY, KEY, ORGANISATION, World, forms_of

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@dataclass
class ServerWorld(World):
    url: str = ""

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "CRM_PIPELINE_LEDGER_URL": self.url}


@pytest.fixture
def world(tmp_path: Path, empty_postgres_url: str) -> Iterator[ServerWorld]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION,), page_size=5)) as sandbox:
        made = ServerWorld(tmp_path, sandbox, url=empty_postgres_url)
        made.install()
        made.run("ledger", "migrate")
        yield made


def rows_naming(world: ServerWorld) -> list[str]:
    """Return the tables of the ledger with a row that names the canary in any form."""
    engine = create_engine(world.url.replace("postgresql://", "postgresql+psycopg://"))
    forms = {form for value in world.identifiers() for form in forms_of(value)}
    found = []
    with engine.connect() as connection:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        for table in connection.execute(text(query)).scalars().all():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')):  # our own names
                content = repr(
                    [bytes(each) if isinstance(each, memoryview) else each for each in row]
                ).encode()
                if any(form in content for form in forms):
                    found.append(table)
    engine.dispose()
    return sorted(set(found))


def test_an_erasure_leaves_nothing_in_a_server_and_says_what_is_the_operators(world: ServerWorld):
    world.live()
    assert set(rows_naming(world)) >= {"applied", "consents", "inbox", "outcomes", "rejects"}
    done = world.erase("--subject", CANARY, "--yes")["erasures"][0]
    assert done["is_complete"]
    assert "left to the operator" in Path(done["receipt"]).read_text()
    assert rows_naming(world) == []
    assert world.hits() == []
    world.post("customer.updated", {"customer": world.customer()})
    world.sync("--full")
    assert rows_naming(world) == []
    assert world.contact()["first_name"] == "Erased"
    assert KEY in world.remote_codes()
