"""No person and no secret reaches Dagster's store, whatever happens."""

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg
import pytest

from crm_pipeline.sandbox import FaultRule

CANARY = {
    "firstName": "Zoecanaria",
    "lastName": "Quetzalova",
    "email": "zoe.canary@quetzal-mail.example",
    "phoneNumber": "+61491570006",
}


@pytest.fixture
def open_instance(tmp_path: Path) -> Callable[[], AbstractContextManager[dg.DagsterInstance]]:
    """Take an instance that keeps everything in files, as a real one does."""
    return lambda: dg.DagsterInstance.local_temp(str(tmp_path / "dagster"))


def needles(world) -> list[bytes]:
    """Return what must not be found: the canary in every usual form, and the secrets."""
    people = list(CANARY.values())
    secrets = [
        world.sandbox.settings.client_secret,
        *(each.crm_test_key for each in world.sandbox.settings.organisations),
    ]
    plain = [*people, "491570006", *secrets]
    return [
        form
        for text in plain
        for form in (
            text.encode(),
            text.lower().encode(),
            text.replace("@", "%40").encode(),
            base64.b64encode(text.encode()).rstrip(b"="),
            text.encode().hex().encode(),
        )
    ]


def found_in(folder, wanted: list[bytes]) -> list[str]:
    """Return files of a folder that hold any of the needles."""
    hits = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            hits += [f"{path.name}: {needle!r}" for needle in wanted if needle in content]
    return hits


@pytest.fixture
def world_with_canary(world):
    for slug in world.slugs:
        world.sandbox.loke.mutate(slug, count=2, fields=CANARY)
    return world


def test_the_canary_reaches_the_crm_and_not_dagsters_store(world_with_canary):
    world = world_with_canary
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    world.materialise("*", "bravo", "charlie")
    world.run_job("checks_job", "")
    names = {each["first_name"] for each in world.sandbox.crm_com.contacts("crm_test_alfa")}
    assert CANARY["firstName"] in names
    assert found_in(world.dagster_home, needles(world)) == []


@pytest.mark.parametrize("status", [400, 401, 409, 422, 500])
def test_refusals_that_repeat_the_record_do_not_reach_dagsters_store(world_with_canary, status):
    world = world_with_canary
    body = '{"error": {"code": "X", "message": "zoe.canary@quetzal-mail.example is taken"}}'
    world.sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=status, method="POST", body=body, times=None)
    )
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    world.materialise("*", "bravo")
    assert found_in(world.dagster_home, needles(world)) == []


@pytest.mark.parametrize(
    "where",
    [
        "crm_pipeline.sync.run.pull",
        "crm_pipeline.sync.run.resolve_contacts",
        "crm_pipeline.sync.run.make_plan",
        "crm_pipeline.sync.run.apply_plan",
        "crm_pipeline.defs.assets.pull",
        "crm_pipeline.defs.assets.resolve_contacts",
        "crm_pipeline.defs.destinations.make_plan",
        "crm_pipeline.defs.destinations.verify",
        "crm_pipeline.defs.applying.apply_plan",
        "crm_pipeline.defs.applying.require_approval",
    ],
)
def test_an_exception_that_carries_a_row_is_scrubbed_at_every_step(world, monkeypatch, where):
    def broken(*_args: object, **_more: object) -> None:
        try:
            raise ValueError(f"row {CANARY}")
        except ValueError as error:
            raise RuntimeError(f"cannot handle {CANARY['email']}") from error

    monkeypatch.setattr(where, broken)
    sweep = world.run_job("sweep_job", "sweep", organisations=["alfa"])
    assets = world.materialise("*", "bravo")
    assert not (sweep.success and assets.success)
    assert found_in(world.dagster_home, needles(world)) == []


def test_what_passes_between_ops_is_small_json_without_people(world_with_canary):
    world = world_with_canary
    world.materialise("*", "alfa")
    files = [path for path in world.dagster_home.rglob("handover/**/*") if path.is_file()]
    assert files
    assert all(path.read_bytes()[:1] in b"{" for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
