"""What every source must do, run over all that discovery finds, against its sandbox twin."""

import traceback
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from crm_pipeline.core.ports import Page, SourceApi, SourceConnection, SourceSpec
from crm_pipeline.core.records import Waits
from crm_pipeline.errors import (
    AnswerLostError,
    CredentialsRefusedError,
    CrmPipelineError,
    ForeignLinkError,
    MalformedAnswerError,
    OrganisationGoneError,
    SourceUnstableError,
    ThrottledError,
)
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sources import load_sources
from crm_pipeline_tests.sources.conftest import ORGANISATION

WAITS = Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=3, connect_seconds=1.0)

CANARY = "canary-secret"

Connect = Callable[..., SourceApi]


@pytest.fixture(params=sorted(load_sources()))
def spec(request: pytest.FixtureRequest) -> SourceSpec:
    return load_sources()[request.param]


@pytest.fixture
def connect(spec: SourceSpec, sandbox: Sandbox) -> Iterator[Connect]:
    opened: list[SourceApi] = []

    def connect(*, secret: str = "", organisation_id: str = ORGANISATION.id) -> SourceApi:
        settings = sandbox.settings
        api = spec.connect(
            SourceConnection(
                organisation=ORGANISATION.slug,
                base_url=sandbox.loke_url,
                token_url=sandbox.token_url,
                organisation_id=organisation_id,
                secrets={
                    "client_id": lambda: settings.client_id,
                    "client_secret": lambda: secret or settings.client_secret,
                },
                waits=WAITS,
            )
        )
        opened.append(api)
        return api

    yield connect
    for api in opened:
        api.close()


@pytest.fixture
def api(connect: Connect) -> SourceApi:
    return connect()


@pytest.fixture
def dataset(spec: SourceSpec) -> str:
    return next(iter(spec.datasets))


def pages_of(api: SourceApi, dataset: str) -> Iterator[Page]:
    page = api.first_page(dataset)
    yield page
    while page.next_link is not None:
        page = api.next_page(page.next_link)
        yield page


def rows_of(api: SourceApi, dataset: str) -> list[dict[str, object]]:
    batches = [api.decode(dataset, page).rows for page in pages_of(api, dataset)]
    rows: list[dict[str, object]] = pa.Table.from_batches(batches).to_pylist()
    return rows


def test_every_column_is_described_and_typed(spec: SourceSpec) -> None:
    for dataset in spec.datasets.values():
        assert [each.name for each in dataset.columns] == dataset.schema.names
        assert all(each.description.endswith(".") for each in dataset.columns)
        assert dataset.schema.names[0] == "id"
        assert dataset.schema.names[-1] == "extra"


@pytest.mark.parametrize("next_link", ["relative", "absolute"])
@pytest.mark.parametrize("cursor", ["key", "offset"])
def test_a_scan_reads_every_record_once_newest_first(
    next_link: str, cursor: str, api: SourceApi, dataset: str, sandbox: Sandbox
) -> None:
    sandbox.loke.switch(next_link=next_link, cursor=cursor)
    ids = [row["id"] for row in rows_of(api, dataset)]
    assert ids == [each["id"] for each in sandbox.loke.customers(ORGANISATION.id)]


def test_decoded_rows_have_exactly_the_datasets_schema(
    spec: SourceSpec, api: SourceApi, dataset: str
) -> None:
    page = api.first_page(dataset)
    decoded = api.decode(dataset, page)
    assert decoded.rows.schema == spec.datasets[dataset].schema
    assert (decoded.row_count, decoded.rejects) == (10, ())
    assert len(page.digest) == 32
    assert page.digest == api.first_page(dataset).digest


def test_a_page_tells_the_servers_own_time(api: SourceApi, dataset: str) -> None:
    page = api.first_page(dataset)
    assert page.server_date is None or page.server_date.utcoffset() is not None


def test_one_record_can_be_read_by_id(api: SourceApi, dataset: str, sandbox: Sandbox) -> None:
    customer = sandbox.loke.customers(ORGANISATION.id)[7]
    found = api.read_one(dataset, customer["id"])
    assert found is not None
    assert found.rows.to_pylist()[0]["first_name"] == customer["firstName"]
    assert api.read_one(dataset, "01HNOBODY00000000000000000") is None
    assert api.read_one(dataset, "../../organizations") is None


@pytest.mark.parametrize("link", ["other_host", "loop", "missing", "empty"])
def test_a_bad_next_link_is_refused_or_shown_before_anything_is_followed(
    link: str, api: SourceApi, dataset: str, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="next_link", path="customers", link=link)  # type: ignore[arg-type]
    sandbox.loke.faults.add(rule)
    if link == "other_host":
        with pytest.raises(ForeignLinkError):
            api.first_page(dataset)
    elif link == "loop":
        page = api.first_page(dataset)
        assert page.next_link is not None
        assert api.next_page(page.next_link).digest == page.digest
    else:
        page = api.first_page(dataset)
        assert page.next_link is None
        assert api.decode(dataset, page).row_count == 10  # a full page: land is warned


@pytest.mark.parametrize(
    "rule",
    [
        FaultRule(kind="status", status=503, path="customers", times=2),
        FaultRule(kind="status", status=429, retry_after=0, path="customers", times=2),
        FaultRule(kind="status", status=500, content="html", path="customers"),
        FaultRule(kind="cut_before", path="customers"),
        FaultRule(kind="cut_after", path="customers"),
        FaultRule(kind="truncate", path="customers"),
        FaultRule(kind="stale_token", path="customers", page=2),
        FaultRule(kind="status", status=503, path="token"),
    ],
    ids=lambda rule: f"{rule.kind}-{rule.status}-{rule.path}",
)
def test_a_passing_fault_is_ridden_out(
    rule: FaultRule, api: SourceApi, dataset: str, sandbox: Sandbox
) -> None:
    sandbox.loke.faults.add(rule)
    assert len(rows_of(api, dataset)) == 25


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (FaultRule(kind="status", status=503, path="customers", times=None), AnswerLostError),
        (FaultRule(kind="status", status=429, path="customers", times=None), ThrottledError),
        (FaultRule(kind="truncate", path="customers", times=None), AnswerLostError),
        (
            FaultRule(kind="status", status=429, retry_after=86400, path="customers", times=1),
            ThrottledError,
        ),
        (FaultRule(kind="not_json", path="customers", times=None), MalformedAnswerError),
        (
            FaultRule(kind="status", status=200, content="html", path="customers"),
            MalformedAnswerError,
        ),
        (
            FaultRule(kind="status", status=200, content="empty", path="customers"),
            MalformedAnswerError,
        ),
        (FaultRule(kind="status", status=401, path="customers", times=2), CredentialsRefusedError),
        (FaultRule(kind="status", status=401, path="token"), CredentialsRefusedError),
    ],
    ids=lambda value: getattr(value, "kind", getattr(value, "__name__", "")),
)
def test_a_lasting_fault_is_a_typed_error_and_never_an_empty_page(
    rule: FaultRule,
    error: type[CrmPipelineError],
    api: SourceApi,
    dataset: str,
    sandbox: Sandbox,
) -> None:
    sandbox.loke.faults.add(rule)
    with pytest.raises(error):
        api.decode(dataset, api.first_page(dataset))


@pytest.mark.parametrize("status", [403, 404])
def test_an_organisation_that_is_gone_is_told_apart_from_an_empty_one(
    status: int, api: SourceApi, dataset: str, sandbox: Sandbox
) -> None:
    sandbox.loke.uninstall(ORGANISATION.id, status=status)
    with pytest.raises(OrganisationGoneError, match="install"):
        api.first_page(dataset)
    with pytest.raises(OrganisationGoneError):
        api.read_one(dataset, "01HNOBODY00000000000000000")


def test_a_next_link_that_the_source_refuses_asks_for_a_new_scan(
    api: SourceApi, dataset: str
) -> None:
    link = api.first_page(dataset).next_link
    assert link is not None
    with pytest.raises(SourceUnstableError, match="its own next link"):
        api.next_page(link.partition("after=")[0] + "after=stale")


def test_an_unknown_refusal_is_an_error(api: SourceApi, dataset: str, sandbox: Sandbox) -> None:
    sandbox.loke.faults.add(FaultRule(kind="status", status=418, path="customers"))
    with pytest.raises(MalformedAnswerError, match="status 418"):
        api.first_page(dataset)


def test_another_dataset_is_a_mistake_of_ours(api: SourceApi) -> None:
    with pytest.raises(ValueError, match="nothing"):
        api.first_page("nothing")


def test_an_empty_organisation_gives_one_empty_page(
    api: SourceApi, dataset: str, sandbox: Sandbox
) -> None:
    sandbox.loke.seed(ORGANISATION.id, 0)
    assert rows_of(api, dataset) == []


def test_a_healthy_connection_passes_every_check(api: SourceApi) -> None:
    findings = api.check()
    assert len(findings) >= 3
    assert all(finding.is_ok for finding in findings)


def test_a_check_stops_at_the_first_failure_with_a_remedy(
    connect: Connect, sandbox: Sandbox
) -> None:
    for broken, count in (
        (connect(secret="wrong"), 1),
        (connect(organisation_id="01HNOBODY00000000000000000"), 2),
    ):
        findings = broken.check()
        assert [finding.is_ok for finding in findings] == [True] * (count - 1) + [False]
        assert findings[-1].remedy


def test_no_error_tells_a_secret(connect: Connect, dataset: str) -> None:
    with pytest.raises(CredentialsRefusedError) as caught:
        connect(secret=CANARY).first_page(dataset)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_scan_uses_one_token(api: SourceApi, dataset: str, sandbox: Sandbox) -> None:
    rows_of(api, dataset)
    rows_of(api, dataset)
    assert sandbox.loke.requests.count("POST", "/token") == 1
