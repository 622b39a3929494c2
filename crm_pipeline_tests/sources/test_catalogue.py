"""A catalogue's file, in each format and place, becomes products; bad rows are set aside."""

import datetime as dt
import decimal
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.core.ports import Page, SourceConnection
from crm_pipeline.core.records import Reject, Waits
from crm_pipeline.errors import (
    ConfigurationError,
    CrmPipelineError,
    MalformedAnswerError,
    SourceUnstableError,
)
from crm_pipeline.sources.catalogue import SOURCE
from crm_pipeline.sources.catalogue.api import CatalogueApi
from crm_pipeline.sources.catalogue.places import LIMIT_BYTES
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer

Open = Callable[..., CatalogueApi]

CSV = (
    "SKU,Name,Price,Currency,Tax Rate,Colour\n"
    'A1,"Flat white, large",5.00,AUD,0.1,brown\n'
    "B2,Yuzu tea,650,JPY,,\n"
)
PRODUCT = {
    "id": "A1",
    "sku": "A1",
    "name": "Flat white, large",
    "description": None,
    "family": None,
    "brand": None,
    "price": 500,
    "currency": "AUD",
    "tax_rate": "0.1",
    "changed_at": None,
    "extra": '{"Colour":"brown"}',
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as stack:

        def connect(
            content: bytes | str | None = None, name: str = "c.csv", **options: str
        ) -> CatalogueApi:
            if content is not None:
                data = content.encode() if isinstance(content, str) else content
                (tmp_path / name).write_bytes(data)
                options.setdefault("location", str(tmp_path / name))
            api = CatalogueApi(
                SourceConnection(
                    organisation="acme",
                    base_url="",
                    options=options,
                    waits=Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=2),
                )
            )
            stack.callback(api.close)
            return api

        yield connect


def products(api: CatalogueApi) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    page = api.first_page("products")
    while True:
        decoded = api.decode("products", page)
        assert decoded.rows.schema == SOURCE.datasets["products"].schema
        assert decoded.row_count == decoded.rows.num_rows + len(decoded.rejects)
        rows += decoded.rows.to_pylist()
        if page.next_link is None:
            return rows
        page = api.next_page(page.next_link)


def faults(api: CatalogueApi) -> list[tuple[str, str, str]]:
    rejects = api.decode("products", api.first_page("products")).rejects
    return [(each.key, each.reason, each.detail.partition(":")[0]) for each in rejects]


def test_a_csv_becomes_products_with_prices_in_the_smallest_unit(opened: Open) -> None:
    first, second = products(opened(CSV))
    assert first == PRODUCT
    assert (second["price"], second["currency"], second["extra"]) == (650, "JPY", None)


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace(",", ";").replace("white;", "white,"),
        CSV.replace(",", "\t").replace("white\t", "white,"),
        "\ufeff" + CSV,
        CSV.replace("\n", "\r\n"),
        CSV.replace("\n", "\n\n , \n"),
        CSV.rstrip("\n"),
    ],
)
def test_the_usual_dialects_of_csv_say_the_same(content: str, opened: Open) -> None:
    assert products(opened(content))[0] == PRODUCT


def test_json_keeps_exact_prices_and_what_it_does_not_know(opened: Open) -> None:
    content = (
        '[{"sku":"A1","name":"Flat white, large","price":5.00,"currency":"AUD","tax_rate":0.10,'
        '"Colour":"brown"},{"SKU":12345,"price":"1234567890.12","currency":"AUD","name":null}]'
    )
    first, second = products(opened(content, "c.json"))
    assert first == {**PRODUCT, "tax_rate": "0.10"}
    assert (second["id"], second["price"], second["extra"]) == (
        "12345",
        123456789012,
        '{"name":null}',
    )


def test_parquet_gives_the_same_products(opened: Open, tmp_path: Path) -> None:
    table = pa.table(
        {
            "sku": ["A1", "B2", None],
            "name": ["Flat white, large", "x", "y"],
            "price": pa.array([decimal.Decimal("5.00"), None, None], pa.decimal128(9, 2)),
            "currency": ["AUD", "AUD", "AUD"],
            "tax_rate": [0.1, float("nan"), None],
            "since": [dt.date(2024, 6, 7), None, None],
            "picture": [b"\x00\xff", None, None],
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")
    api = opened(location=str(tmp_path / "c.parquet"))
    first, second = products(api)
    assert first == {**PRODUCT, "extra": '{"since":"2024-06-07","picture":"AP8="}'}
    assert (second["price"], second["extra"]) == (None, '{"tax_rate":null}')
    assert faults(api) == [("", "record_without_id", "Record 3")]


def test_bad_rows_are_set_aside_with_their_lines_and_the_others_stay(opened: Open) -> None:
    api = opened(
        "sku,name,price,currency\n"
        "A,first,1,AUD\n"
        "A,again,2,AUD\n"
        ",nameless,1,AUD\n"
        'B,"two\nlines",1,AUD\n'
        "C,c,five,AUD\n"
        "D,d,1.005,AUD\n"
        "E,e,-1,AUD\n"
        "F,f,1,\n"
        "G,g,1,XXQ\n"
        "H,h,1,AUD,what is this\n"
        f"{'I' * 129},i,1,AUD\n"
        "J,j\n"
    )
    assert [each["sku"] for each in products(api)] == ["A", "B", "J"]
    assert faults(api) == [
        ("A", "duplicate_id", "Line 3"),
        ("", "record_without_id", "Line 4"),
        ("C", "price_invalid", "Line 7"),
        ("D", "price_invalid", "Line 8"),
        ("E", "price_invalid", "Line 9"),
        ("F", "currency_unknown", "Line 10"),
        ("G", "currency_unknown", "Line 11"),
        ("", "record_unreadable", "Line 12"),
        ("I" * 129, "record_without_id", "Line 13"),
    ]


def test_a_row_without_a_currency_takes_the_one_of_the_settings(opened: Open) -> None:
    (row,) = products(opened("sku,price\nA,5\n", currency="NZD"))
    assert (row["price"], row["currency"]) == (500, "NZD")


def test_records_that_are_no_objects_are_set_aside(opened: Open) -> None:
    api = opened('[5,{"sku":"A","price":true},{"sku":"B"}]', "c.json")
    assert [each["sku"] for each in products(api)] == ["B"]
    assert faults(api) == [
        ("", "record_unreadable", "Record 1"),
        ("A", "price_invalid", "Record 2"),
    ]


def test_a_page_has_a_thousand_rows_and_a_double_is_seen_over_the_border(opened: Open) -> None:
    lines = "".join(f"S{number},x\n" for number in range(2500))
    api = opened("sku,name\n" + lines + "S0,x\n")
    page = api.first_page("products")
    sizes: list[int] = []
    rejects: list[Reject] = []
    while True:
        decoded = api.decode("products", page)
        sizes.append(decoded.row_count)
        rejects += decoded.rejects
        if page.next_link is None:
            break
        assert api.next_page(page.next_link) == api.next_page(page.next_link)
        page = api.next_page(page.next_link)
    assert (sizes, [each.key for each in rejects]) == ([1000, 1000, 501], ["S0"])


def test_a_file_that_changes_between_two_pages_asks_for_a_new_scan(
    opened: Open, tmp_path: Path
) -> None:
    content = "sku\n" + "".join(f"S{number}\n" for number in range(1500))
    link = opened(content).first_page("products").next_link
    assert link is not None
    same = opened(content)
    assert same.decode("products", same.next_page(link)).row_count == 500
    with pytest.raises(SourceUnstableError, match="changed"):
        opened(content + "T\n").next_page(link)


def test_an_empty_catalogue_is_one_empty_page(opened: Open) -> None:
    assert products(opened("sku,name\n")) == []


def test_one_product_is_read_by_its_sku(opened: Open) -> None:
    api = opened(CSV)
    found = api.read_one("products", "A1")
    assert found is not None
    assert found.rows.to_pylist() == [PRODUCT]
    assert api.read_one("products", "Z") is None


@pytest.mark.parametrize(
    ("content", "name", "fault"),
    [
        ("", "c.csv", "no column `sku`"),
        ("code,name\nA,b\n", "c.csv", "no column `sku`"),
        ("sku,name,name\nA,b,c\n", "c.csv", "a column twice"),
        (b"sku,name\nA,\xe9\n", "c.csv", "not in UTF-8"),
        ('sku,name\nA,"open\n', "c.csv", "no CSV at line"),
        ('{"products":[]}', "c.json", "not a JSON list"),
        ('[{"sku":"A","sku":"B"}]', "c.json", "twice"),
        ('[{"sku":"A","price":NaN}]', "c.json", "NaN"),
        ("not parquet", "c.parquet", "no Parquet"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_whole(
    content: str | bytes, name: str, fault: str, opened: Open
) -> None:
    api = opened(content, name)
    with pytest.raises(MalformedAnswerError, match=fault):
        api.first_page("products")
    (finding,) = api.check()
    assert not finding.is_ok
    assert finding.remedy


def test_the_format_may_be_named_when_the_ending_does_not_tell(opened: Open) -> None:
    assert products(opened(CSV, "catalogue.txt", format="csv"))[0] == PRODUCT
    with pytest.raises(ConfigurationError, match="format"):
        opened(CSV, "catalogue.txt")


@pytest.mark.parametrize(
    "location",
    [
        "",
        "ftp://x.example/c.csv",
        "file://elsewhere/c.csv",
        "http://shop.example/c.csv",
        "a\nb.csv",
    ],
)
def test_a_location_that_may_not_be_read_is_refused_before_anything_is(
    location: str, opened: Open
) -> None:
    with pytest.raises(ConfigurationError):
        opened(location=location)


def test_a_file_that_is_not_there_or_no_file_is_a_matter_of_settings(
    opened: Open, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("absent.csv", "pipe.csv", "."):
        with pytest.raises(ConfigurationError):
            opened(location=str(tmp_path / name), format="csv").first_page("products")


def test_a_file_beyond_the_limit_is_not_read(opened: Open, tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    with pytest.raises(ConfigurationError, match=f"more than {LIMIT_BYTES} bytes"):
        opened(location=str(tmp_path / "huge.csv")).first_page("products")


def test_a_file_address_is_a_path(opened: Open, tmp_path: Path) -> None:
    api = opened(CSV, "my catalogue.csv", location=f"file://{tmp_path}/my%20catalogue.csv")
    assert products(api)[0] == PRODUCT


def test_a_catalogue_on_a_web_server_is_fetched_with_its_query_and_without_telling_it(
    opened: Open,
) -> None:
    found = answer(200, CSV.encode(), Date="Fri, 07 Jun 2024 10:00:00 GMT")
    with ScriptedServer(answer(503), found, answer(404)) as server:
        api = opened(location=f"{server.url}/shop/c.csv?key=canary")
        page = api.first_page("products")
        assert api.decode("products", page).rows.to_pylist()[0] == PRODUCT
        assert page.server_date == dt.datetime(2024, 6, 7, 10, tzinfo=dt.UTC)
        assert server.seen[-1].target == "/shop/c.csv?key=canary"
        with pytest.raises(ConfigurationError, match="status 404") as caught:
            api.first_page("products")
    assert "canary" not in str(caught.value)


def test_a_server_that_refuses_in_its_own_way_is_an_error(opened: Open) -> None:
    with ScriptedServer(answer(418)) as server:
        api = opened(location=f"{server.url}/c.csv")
        with pytest.raises(MalformedAnswerError, match="status 418"):
            api.first_page("products")


def test_bytes_that_are_no_page_of_ours_are_refused(opened: Open) -> None:
    page = Page(body=b"{}", next_link=None, server_date=None, digest="")
    with pytest.raises(MalformedAnswerError, match="page of products"):
        opened(CSV).decode("products", page)


def test_no_error_quotes_a_product(opened: Open) -> None:
    with pytest.raises(CrmPipelineError) as caught:
        opened('[{"sku":"canary"},]', "c.json").first_page("products")
    assert "canary" not in str(caught.value)


def test_another_dataset_is_a_mistake_of_ours(opened: Open) -> None:
    with pytest.raises(ValueError, match="nothing"):
        opened(CSV).first_page("nothing")


def test_a_healthy_catalogue_passes_its_check(opened: Open) -> None:
    assert [each.is_ok for each in opened(json.dumps([{"sku": "A"}]), "c.json").check()] == [True]
