"""What every source must do, run over every dataset that has a twin in the sandbox."""

import traceback
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from crm_pipeline.core.ports import (
    DatasetSpec,
    DecodedPage,
    ListsApi,
    Page,
    SourceApi,
    SourceSpec,
    SubscribingApi,
)
from crm_pipeline.errors import (
    AnswerLostError,
    BugError,
    CredentialsRefusedError,
    CrmPipelineError,
    DataError,
    ForeignLinkError,
    MalformedAnswerError,
    OrganisationGoneError,
    SourceUnstableError,
    ThrottledError,
    TryLaterError,
)
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sources import load_sources
from crm_pipeline_tests.sources.twins import (
    DATASETS,
    SOURCES,
    WITHOUT_TWIN,
    DatasetTwin,
    SourceTwin,
)

CANARY = "canary-secret"

Connect = Callable[..., SourceApi]


def twins_of(*readings: str) -> list[DatasetTwin]:
    """Return the twins of the datasets that are read in one of these ways."""
    specs = load_sources()
    return [each for each in DATASETS if specs[each.source].datasets[each.name].reading in readings]


LINKED = [each for each in DATASETS if each.has_next_links]


def over(twins: list[DatasetTwin] | tuple[DatasetTwin, ...]) -> pytest.MarkDecorator:
    """Run a test over these twins instead of all."""
    names = [f"{each.source}-{each.name}" for each in twins]
    return pytest.mark.parametrize("twin", twins, ids=names, indirect=True)


@pytest.fixture(params=DATASETS, ids=[f"{each.source}-{each.name}" for each in DATASETS])
def twin(request: pytest.FixtureRequest, sandbox: Sandbox) -> DatasetTwin:
    """A dataset with records in it."""
    chosen: DatasetTwin = request.param
    chosen.prepare(sandbox)
    return chosen


@pytest.fixture
def source(twin: DatasetTwin) -> SourceTwin:
    return SOURCES[twin.source]


@pytest.fixture
def spec(twin: DatasetTwin) -> SourceSpec:
    return load_sources()[twin.source]


@pytest.fixture
def dataset(spec: SourceSpec, twin: DatasetTwin) -> DatasetSpec:
    return spec.datasets[twin.name]


@pytest.fixture
def connect(
    spec: SourceSpec, twin: DatasetTwin, source: SourceTwin, sandbox: Sandbox
) -> Iterator[Connect]:
    opened: list[SourceApi] = []

    def connect(*, secret: str = "", entity: str = "") -> SourceApi:
        connection = source.connection(sandbox, secret=secret, entity=entity, datasets=twin.name)
        api = spec.connect(connection)
        opened.append(api)
        return api

    yield connect
    for api in opened:
        api.close()


@pytest.fixture
def api(connect: Connect) -> SourceApi:
    return connect()


@pytest.fixture
def read(
    api: SourceApi, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox
) -> Callable[[], list[DecodedPage]]:
    """Read a whole dataset in the way that it is read."""

    def read() -> list[DecodedPage]:
        if dataset.reading == "keyed":
            found = [api.read_one(dataset.name, each) for each in twin.ids(sandbox)]
            return [each for each in found if each is not None]
        pages = list_pages(api) if dataset.reading == "lists" else pages_of(api, dataset.name)
        return [api.decode(dataset.name, page) for page in pages]

    return read


def pages_of(api: SourceApi, dataset: str) -> Iterator[Page]:
    yield from followed(api, api.first_page(dataset))


def list_pages(api: SourceApi) -> Iterator[Page]:
    lists = cast("ListsApi", api)
    for each in lists.lists():
        yield from followed(api, lists.members_page(each.id))


def followed(api: SourceApi, page: Page) -> Iterator[Page]:
    yield page
    while page.next_link is not None:
        page = api.next_page(page.next_link)
        yield page


def read_some(api: SourceApi, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox) -> None:
    """Make the first call that reads records."""
    if dataset.reading == "keyed":
        api.read_one(dataset.name, twin.ids(sandbox)[0])
    elif dataset.reading == "lists":
        api.decode(dataset.name, next(list_pages(api)))
    else:
        api.decode(dataset.name, api.first_page(dataset.name))


def ids_in(pages: list[DecodedPage]) -> list[str]:
    return [each for page in pages for each in page.rows.column("id").to_pylist()]


def test_every_dataset_has_its_twin() -> None:
    missing = {
        (name, dataset)
        for name, spec in load_sources().items()
        for dataset in spec.datasets
        if name not in WITHOUT_TWIN
    } - {(each.source, each.name) for each in DATASETS}
    assert missing == set()


@pytest.mark.parametrize("name", sorted(load_sources()))
def test_every_column_is_described_and_typed(name: str) -> None:
    for dataset in load_sources()[name].datasets.values():
        assert [each.name for each in dataset.columns] == dataset.schema.names
        assert all(each.description.endswith(".") for each in dataset.columns)
        assert dataset.schema.names[0] == "id"
        assert dataset.schema.names[-1] == "extra"
        assert dataset.schema.field(dataset.version_column).type == "string"


@pytest.mark.parametrize("name", sorted(load_sources()))
def test_what_is_read_by_key_has_webhooks_and_an_end(name: str) -> None:
    spec = load_sources()[name]
    assert set(spec.hook_events.values()) <= set(spec.datasets)
    for dataset in spec.datasets.values():
        is_keyed = dataset.reading == "keyed"
        assert bool(dataset.final_states) is is_keyed
        assert not is_keyed or "status" in dataset.schema.names
        assert not is_keyed or dataset.name in spec.hook_events.values()


def test_every_record_is_read_once(
    read: Callable[[], list[DecodedPage]],
    dataset: DatasetSpec,
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    found, expected = ids_in(read()), list(twin.ids(sandbox))
    assert expected
    if dataset.reading == "newest_first":
        assert found == expected
    else:
        assert sorted(found) == sorted(expected)


@over(LINKED)
@pytest.mark.parametrize("next_link", ["relative", "absolute"])
@pytest.mark.parametrize("cursor", ["key", "offset"])
def test_links_and_cursors_of_any_kind_lead_through_all_pages(
    next_link: str,
    cursor: str,
    read: Callable[[], list[DecodedPage]],
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    sandbox.loke.switch(next_link=next_link, cursor=cursor)
    assert sorted(ids_in(read())) == sorted(twin.ids(sandbox))


def test_decoded_rows_have_exactly_the_datasets_schema(
    read: Callable[[], list[DecodedPage]], dataset: DatasetSpec
) -> None:
    for page in read():
        assert page.rows.schema == dataset.schema
        assert (page.row_count, page.rejects) == (page.rows.num_rows, ())


@over(twins_of("newest_first", "whole"))
def test_a_page_tells_the_servers_own_time_and_its_digest(
    api: SourceApi, dataset: DatasetSpec
) -> None:
    page = api.first_page(dataset.name)
    assert page.server_date is None or page.server_date.utcoffset() is not None
    assert len(page.digest) == 32
    assert page.digest == api.first_page(dataset.name).digest


@over([each for each in DATASETS if each.unknown_id])
def test_one_record_can_be_read_by_id(
    api: SourceApi,
    read: Callable[[], list[DecodedPage]],
    dataset: DatasetSpec,
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    wanted = twin.ids(sandbox)[7]
    found = api.read_one(dataset.name, wanted)
    assert found is not None
    assert found.rows.schema == dataset.schema
    assert ids_in([found]) == [wanted]
    rows = [row for page in read() for row in page.rows.to_pylist() if row["id"] == wanted]
    assert twin.is_read_in_detail or found.rows.to_pylist() == rows
    assert api.read_one(dataset.name, twin.unknown_id) is None


@over([each for each in DATASETS if each.bad_ids])
def test_an_id_that_is_none_never_reaches_another_path(
    api: SourceApi, source: SourceTwin, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox
) -> None:
    requests = source.vendor(sandbox).requests
    for bad_id in twin.bad_ids:
        if dataset.reading == "keyed":
            with pytest.raises(DataError) as caught:
                api.read_one(dataset.name, bad_id)
            assert not bad_id or bad_id not in f"{caught.value} "
        else:
            assert api.read_one(dataset.name, bad_id) is None
    if dataset.reading == "keyed":
        assert requests.count() == 0  # a webhook that anybody can send named it
    assert not {each.status for each in requests.entries()} - {200, 400, 404}


@over(twins_of("keyed"))
def test_what_has_no_list_says_so(api: SourceApi, dataset: DatasetSpec) -> None:
    with pytest.raises(BugError, match="list"):
        api.first_page(dataset.name)
    with pytest.raises(BugError, match="list"):
        api.next_page("/anything")


@over(twins_of("keyed"))
@pytest.mark.parametrize("status", [404, 403])
def test_a_record_that_is_not_there_yet_is_there_later(
    status: int,
    api: SourceApi,
    source: SourceTwin,
    dataset: DatasetSpec,
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    wanted = twin.ids(sandbox)[0]
    rule = FaultRule(kind="status", status=status, path=twin.path)
    source.vendor(sandbox).faults.add(rule)
    if status == 404:
        assert api.read_one(dataset.name, wanted) is None
    else:
        with pytest.raises(TryLaterError):
            api.read_one(dataset.name, wanted)
    assert api.read_one(dataset.name, wanted) is not None


@over(LINKED)
@pytest.mark.parametrize("link", ["other_host", "loop", "missing", "empty"])
def test_a_bad_next_link_is_refused_or_shown_before_anything_is_followed(
    link: str, api: SourceApi, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="next_link", path=twin.path, link=link)  # type: ignore[arg-type]
    sandbox.loke.faults.add(rule)
    if link == "other_host":
        with pytest.raises(ForeignLinkError):
            api.first_page(dataset.name)
    elif link == "loop":
        page = api.first_page(dataset.name)
        assert page.next_link is not None
        assert api.next_page(page.next_link).digest == page.digest
    else:
        page = api.first_page(dataset.name)
        assert page.next_link is None
        assert api.decode(dataset.name, page).row_count == 10  # a full page: land is warned


@over(LINKED)
def test_a_next_link_that_the_source_refuses_asks_for_a_new_scan(
    api: SourceApi, dataset: DatasetSpec
) -> None:
    link = api.first_page(dataset.name).next_link
    assert link is not None
    with pytest.raises(SourceUnstableError, match="its own next link"):
        api.next_page(link.partition("after=")[0] + "after=stale")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503, "times": 2},
        {"kind": "status", "status": 429, "retry_after": 0, "times": 2},
        {"kind": "status", "status": 500, "content": "html"},
        {"kind": "cut_before"},
        {"kind": "cut_after"},
        {"kind": "truncate"},
        {"kind": "status", "status": 503, "path": "token"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_a_passing_fault_is_ridden_out(
    fault: dict[str, object],
    read: Callable[[], list[DecodedPage]],
    source: SourceTwin,
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    rule = FaultRule(**{"path": twin.path, **fault})  # type: ignore[arg-type]
    source.vendor(sandbox).faults.add(rule)
    assert len(ids_in(read())) == len(twin.ids(sandbox))


@over([each for each in LINKED if SOURCES[each.source].token_path])
def test_a_token_that_expires_between_two_pages_is_renewed(
    read: Callable[[], list[DecodedPage]], source: SourceTwin, twin: DatasetTwin, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="stale_token", path=twin.path, page=2)
    source.vendor(sandbox).faults.add(rule)
    assert len(ids_in(read())) == len(twin.ids(sandbox))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 503, "times": None}, AnswerLostError),
        ({"kind": "status", "status": 429, "times": None}, ThrottledError),
        ({"kind": "truncate", "times": None}, AnswerLostError),
        ({"kind": "status", "status": 429, "retry_after": 86400}, ThrottledError),
        ({"kind": "not_json", "times": None}, MalformedAnswerError),
        ({"kind": "status", "status": 200, "content": "html"}, MalformedAnswerError),
        ({"kind": "status", "status": 200, "content": "empty"}, MalformedAnswerError),
        ({"kind": "status", "status": 200, "body": '[{"id":'}, MalformedAnswerError),
        ({"kind": "status", "status": 401, "times": 2}, CredentialsRefusedError),
    ],
    ids=lambda value: getattr(value, "__name__", "") or "-".join(map(str, value.values())),
)
def test_a_lasting_fault_is_a_typed_error_and_never_an_empty_page(
    fault: dict[str, object],
    error: type[CrmPipelineError],
    api: SourceApi,
    source: SourceTwin,
    dataset: DatasetSpec,
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    source.vendor(sandbox).faults.add(FaultRule(path=twin.path, **fault))  # type: ignore[arg-type]
    with pytest.raises(error):
        read_some(api, dataset, twin, sandbox)


def test_an_unknown_refusal_is_an_error(
    api: SourceApi, source: SourceTwin, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="status", status=418, path=twin.path)
    source.vendor(sandbox).faults.add(rule)
    with pytest.raises(MalformedAnswerError, match="status 418"):
        read_some(api, dataset, twin, sandbox)


@over([each for each in DATASETS if SOURCES[each.source].token_path])
def test_a_refused_client_is_told_apart_from_an_empty_source(
    api: SourceApi, source: SourceTwin, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="status", status=401, path=source.token_path)
    source.vendor(sandbox).faults.add(rule)
    with pytest.raises(CredentialsRefusedError):
        read_some(api, dataset, twin, sandbox)


@over([each for each in DATASETS if SOURCES[each.source].remove])
@pytest.mark.parametrize("status", [403, 404])
def test_an_organisation_that_is_gone_is_told_apart_from_an_empty_one(
    status: int,
    api: SourceApi,
    source: SourceTwin,
    dataset: DatasetSpec,
    twin: DatasetTwin,
    sandbox: Sandbox,
) -> None:
    assert source.remove is not None
    source.remove(sandbox, status)
    with pytest.raises(OrganisationGoneError, match="install"):
        read_some(api, dataset, twin, sandbox)
    if twin.unknown_id:
        with pytest.raises(OrganisationGoneError):
            api.read_one(dataset.name, twin.unknown_id)


@over([each for each in twins_of("newest_first") if each.name == "customers"])
def test_an_empty_organisation_gives_one_empty_page(
    read: Callable[[], list[DecodedPage]], twin: DatasetTwin, sandbox: Sandbox
) -> None:
    sandbox.loke.seed(SOURCES[twin.source].own_entity, 0)
    [page] = read()
    assert page.row_count == 0


def test_another_dataset_is_a_mistake_of_ours(api: SourceApi) -> None:
    with pytest.raises(ValueError, match="nothing"):
        api.first_page("nothing")
    with pytest.raises(ValueError, match="nothing"):
        api.read_one("nothing", "1")


def test_a_healthy_connection_passes_every_check(api: SourceApi, source: SourceTwin) -> None:
    findings = api.check()
    assert len(findings) >= source.checks
    assert all(finding.is_ok for finding in findings)


def test_a_check_stops_at_the_first_failure_with_a_remedy(
    connect: Connect, source: SourceTwin
) -> None:
    broken = [connect(secret="wrong")]
    if source.unknown_entity:
        broken.append(connect(entity=source.unknown_entity))
    for passed, api in enumerate(broken):
        findings = api.check()
        assert [finding.is_ok for finding in findings] == [True] * passed + [False]
        assert findings[-1].remedy


def test_no_error_tells_a_secret(
    connect: Connect, dataset: DatasetSpec, twin: DatasetTwin, sandbox: Sandbox
) -> None:
    with pytest.raises(CredentialsRefusedError) as caught:
        read_some(connect(secret=CANARY), dataset, twin, sandbox)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@over([each for each in DATASETS if SOURCES[each.source].token_path])
def test_all_calls_use_one_token(
    read: Callable[[], list[DecodedPage]], source: SourceTwin, sandbox: Sandbox
) -> None:
    read()
    read()
    assert source.vendor(sandbox).requests.count("POST", source.token_path) == 1


@over([each for each in DATASETS if SOURCES[each.source].hook_url])
def test_subscribing_again_changes_nothing_and_ends_with_unsubscribing(
    api: SourceApi, spec: SourceSpec, source: SourceTwin
) -> None:
    hooks = cast("SubscribingApi", api)
    events = tuple(spec.hook_events)
    for _ in range(2):
        hooks.subscribe("crm-pipeline", source.hook_url, events, lambda: CANARY)
        [made] = hooks.subscriptions()
        assert (made.url, made.events) == (source.hook_url, events)
    assert hooks.unsubscribe(made.ref)
    assert not hooks.unsubscribe(made.ref)
    assert list(hooks.subscriptions()) == []
