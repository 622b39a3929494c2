"""No person and no secret reaches Dagster's store, whatever happens."""

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg
import pytest

from crm_pipeline.sandbox import FaultRule
from crm_pipeline_tests.defs.support import failures_of

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
    world.materialise("*", "bravo")
    world.run_job("checks_job", "")
    names = {each["first_name"] for each in world.sandbox.crm_com.contacts("crm_test_alfa")}
    assert CANARY["firstName"] in names
    assert found_in(world.dagster_home, needles(world)) == []


def test_refusals_that_repeat_the_record_do_not_reach_dagsters_store(world_with_canary):
    world = world_with_canary
    body = '{"error": {"code": "X", "message": "zoe.canary@quetzal-mail.example is taken"}}'
    for status in (400, 409, 500):
        world.sandbox.crm_com.faults.clear()
        world.sandbox.crm_com.faults.add(
            FaultRule(kind="status", status=status, method="POST", body=body, times=None)
        )
        world.run_job("sweep_job", "sweep", organisations=["alfa"])
    world.materialise("*", "bravo")
    assert found_in(world.dagster_home, needles(world)) == []


def broken(*_args: object, **_more: object) -> None:
    """Fail as a library does that repeats the row in its message."""
    try:
        raise ValueError(f"row {CANARY}")
    except ValueError as error:
        raise RuntimeError(f"cannot handle {CANARY['email']}") from error


def test_an_exception_that_carries_a_row_is_scrubbed_at_every_stage_of_a_sweep(world, monkeypatch):
    for stage in ("pull", "resolvers", "make_kind_plan", "apply_plan"):
        with monkeypatch.context() as patch:
            patch.setattr(f"crm_pipeline.sync.run.{stage}", broken)
            result = world.run_job("sweep_job", "sweep", organisations=["alfa"])
        (message,) = failures_of(result).values()
        assert "RuntimeError" in message
    assert found_in(world.dagster_home, needles(world)) == []


def test_an_exception_that_carries_a_row_is_scrubbed_in_every_asset(world, monkeypatch):
    places = {
        "loke/customers": ("assets.pull", "assets.landed_metadata"),
        "contacts": ("assets.resolvers",),
        "crm_com/plan": ("destinations.make_kind_plan",),
        "crm_com/applied": (
            "applying.require_approval",
            "applying.apply_plan",
            "applying.applied_metadata",
        ),
        "crm_com/drift": ("destinations.verify",),
    }
    for key, functions in places.items():
        for function in functions:
            with monkeypatch.context() as patch:
                patch.setattr(f"crm_pipeline.defs.{function}", broken)
                result = world.materialise(key, "bravo")
            assert "RuntimeError" in "".join(failures_of(result).values()), function
        assert world.materialise(key, "bravo").success
    assert found_in(world.dagster_home, needles(world)) == []


def test_what_passes_between_ops_is_small_json_without_people(world_with_canary):
    world = world_with_canary
    world.materialise("*", "alfa")
    files = [path for path in world.dagster_home.rglob("handover/**/*") if path.is_file()]
    assert files
    assert all(path.read_bytes()[:1] in b"{" for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
