"""Faults of the object storage that a lake lies in: told by name, nothing moves, and it heals."""

import datetime as dt
from contextlib import suppress

import pytest

from crm_pipeline.store.lake import Lake, LakeBusyError, LakeUnavailableError
from crm_pipeline_tests.acceptance.test_convergence import writes, wrong
from crm_pipeline_tests.nights import night
from crm_pipeline_tests.object_store import running_store

LAKE = "s3://lake/people"
LANDED = "landed/loke/customers"
CUSTOMERS, CHANGED = 30, 5
UNAVAILABLE, REFUSED = (75, "lake_unavailable"), (78, "lake_refused")


@pytest.fixture
def store(monkeypatch):
    with running_store() as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def product(make_product, store):
    made = make_product(acme=CUSTOMERS)
    made.waits |= {
        "CRM_PIPELINE_LAKE_URL": LAKE,
        "CRM_PIPELINE_TIMEOUT_S": "3",
        **store.environment,
    }
    assert sync(made).code == 0
    assert wrong(made) == []
    made.sandbox.crm_com.requests.clear()
    return made


def sync(product, *options):
    return product.run_here("sync", "--org", "acme", "--json", *options)


def change(product, seed=3):
    organisation = product.sandbox.settings.organisations[0]
    product.sandbox.loke.mutate(organisation.id, count=CHANGED, seed=seed)


def watermarks_of(product):
    document = product.run_here("status", "--json").document
    return document["organisations"]["acme"]["watermarks"]


def landed_versions():
    lake = Lake(LAKE, clock=lambda: dt.datetime.now(dt.UTC))
    rows = lake.scan("acme", LANDED, columns=("id", "fingerprint")).read_all().to_pylist()
    return [(row["id"], row["fingerprint"]) for row in rows]


def prove_that_it_heals(product, store, *, is_done=False):
    """With ``is_done`` rows were landed and nobody said so: versions may be there twice."""
    store.heal()
    assert sync(product).code == 0
    assert wrong(product) == []
    assert writes(product) == CHANGED
    versions = landed_versions()
    assert len(set(versions)) == CUSTOMERS + CHANGED
    assert is_done or len(versions) == CUSTOMERS + CHANGED
    assert sync(product, "--full").code == 0
    assert writes(product) == CHANGED
    assert len(landed_versions()) == len(versions)


def rule(expected, status, code="InternalError", **how):
    return expected, {"status": status, "code": code, **how}


LOG, DATA = "_delta_log/.*json$", "parquet$"


@pytest.mark.parametrize(
    ("expected", "how"),
    [
        rule(UNAVAILABLE, 503, "SlowDown"),
        rule(REFUSED, 403, "AccessDenied"),
        *night(
            rule(UNAVAILABLE, 500, method="PUT", key=f"{LANDED}/[^_]"),
            rule(UNAVAILABLE, 500, method="PUT", key=f"{LANDED}/{LOG}", is_done=True),
            rule(UNAVAILABLE, 0, seconds=4),
            rule(UNAVAILABLE, 0),
            rule(REFUSED, 404, "NoSuchBucket"),
            rule(REFUSED, 401, "InvalidToken"),
            rule(REFUSED, 403, "InvalidAccessKeyId", method="PUT"),
            rule(UNAVAILABLE, 500, method="LIST"),
            rule(UNAVAILABLE, 500, method="GET"),
            rule(UNAVAILABLE, 500, method="PUT", key=LOG),
            rule(UNAVAILABLE, 500, method="PUT", key=DATA, after=2),
            rule(UNAVAILABLE, 500, method="PUT", key=LOG, after=2, is_done=True),
            rule(UNAVAILABLE, 503, "SlowDown", after=25),
            rule(UNAVAILABLE, 503, "SlowDown", after=60),
        ),
    ],
)
def test_a_store_that_fails_is_told_moves_nothing_and_doubles_nothing(
    product, store, expected, how
):
    before = watermarks_of(product)
    change(product)
    store.fail(**how)
    answer = sync(product)
    codes = [each["code"] for each in answer.document["organisations"]["acme"]["errors"]]
    assert (answer.code, codes[0]) == expected, answer.err
    assert set(codes) == {expected[1]}
    assert "Traceback" not in answer.err
    if not how.get("after"):
        assert watermarks_of(product) == before
    if not how.keys() & {"after", "is_done"}:
        assert writes(product) == 0
    prove_that_it_heals(product, store, is_done="is_done" in how)


@pytest.mark.parametrize(
    "how",
    [
        {"status": 500, "method": "PUT", "key": LOG, "times": 1, "is_done": True},
        *night({"status": 503, "code": "SlowDown", "times": 2}),
    ],
    ids=["commit-answer-lost", "slow-down"],
)
def test_a_store_that_fails_for_a_moment_is_asked_again_and_nobody_notices(product, store, how):
    change(product)
    store.fail(**how)
    assert sync(product).code == 0
    prove_that_it_heals(product, store)


@pytest.mark.night
def test_a_page_that_is_gone_is_damage_and_never_fewer_people(product, store):
    change(product)
    store.fail(status=404, code="NoSuchKey", method="HEAD", key=f"{LANDED}/.*{DATA}")
    answer = sync(product, "--full")
    assert answer.code == 65
    assert "lake_damaged" in answer.out
    assert writes(product) == 0
    prove_that_it_heals(product, store)


@pytest.mark.night
def test_folding_that_fails_half_way_loses_and_doubles_nothing(product, store):
    lake = Lake(LAKE, clock=lambda: dt.datetime.now(dt.UTC), storage_options={"max_retries": "1"})
    change(product)
    assert sync(product).code == 0
    before = sorted(landed_versions())
    for how in (
        {"method": "PUT", "key": DATA},
        {"method": "PUT", "key": LOG},
        {"method": "PUT", "key": LOG, "is_done": True},
        {"method": "POST", "key": "^lake$"},
    ):
        store.fail(500, **how)
        for work in (lambda: lake.compact("acme", LANDED, "id", keep="all"),
                     lambda: lake.vacuum("acme", LANDED, retention_hours=0)):  # fmt: skip
            with suppress(LakeUnavailableError, LakeBusyError):
                work()
        store.heal()
        assert sorted(landed_versions()) == before
    prove_that_it_heals(product, store)
