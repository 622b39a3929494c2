"""The whole classic Web API through its client, against the sandbox: tokens, methods, pages."""

import base64
import datetime as dt
import json
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.destinations.crm_com_classic.client import ClassicClient
from crm_pipeline.destinations.crm_com_classic.closing import (
    Amounts,
    Spent,
    UnbalancedSaleError,
    close_sale,
)
from crm_pipeline.destinations.crm_com_classic.envelope import ClassicRefusedError
from crm_pipeline.destinations.crm_com_classic.identifiers import (
    AccessToken,
    Identifier,
    identify,
    shown_means,
)
from crm_pipeline.destinations.crm_com_classic.sales import Line, Sale, Spend
from crm_pipeline.destinations.crm_com_classic.tokens import (
    UserLogin,
    WebApiKey,
    absolute_life_seconds,
)
from crm_pipeline.errors import (
    AnswerLostError,
    BugError,
    CredentialsRefusedError,
    MalformedAnswerError,
    UnreachableError,
)
from crm_pipeline.http import Seams
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.destinations.conftest import KEY, ORGANISATION, WAITS
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer

ADA = "+61400000001"
PARTICIPANT = shown_means("participant", ADA)
RECEIVABLE = shown_means("receivable", ADA)
AT = dt.datetime(2026, 5, 3, 10, 15, tzinfo=dt.UTC)
COFFEE = Line(
    amounts=Amounts(net=Decimal("8.40"), vat=Decimal("1.60"), total=Decimal("10.00")),
    quantity=Decimal(2),
    product=identify("product", code="SKU-1"),
)


class Watch:
    """A monotonic clock that stands still until a test turns it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def twin(running: Sandbox) -> Sandbox:
    running.crm_com.reset()
    running.classic.reset()
    running.classic.add_participant(
        ORGANISATION.slug,
        [ADA],
        wallet="5.00",
        pass_codes={"card-1": "4711"},
        one_time_passwords=["9999"],
    )
    return running


Connect = Callable[..., ClassicClient]


@pytest.fixture
def connect(twin: Sandbox, watch: Watch) -> Iterator[Connect]:
    opened: list[ClassicClient] = []

    def connect(url: str = "", **options: Any) -> ClassicClient:
        login = options.pop("login", WebApiKey(key=lambda: KEY))
        client = ClassicClient(
            url or twin.classic_url,
            login=login,
            waits=WAITS,
            seams=Seams(monotonic=watch),
            **options,
        )
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Connect) -> ClassicClient:
    return connect()


def sale(reference: str = "loke:1", **changes: Any) -> Sale:
    parts: dict[str, Any] = {
        "payer": RECEIVABLE,
        "place": identify("unit", name="Shop 1"),
        "at": AT,
        "reference_number": reference,
        "external_system": "LOKE",
        "external_reference_number": reference,
        "lines": [COFFEE],
        **changes,
    }
    return Sale(**parts)


def tokens_asked(twin: Sandbox) -> int:
    return twin.classic.requests.count("POST", "/authentication/web_api_key/token")


# -- tokens --------------------------------------------------------------------------------------


def test_one_token_serves_all_calls_and_is_released_at_the_end(
    client: ClassicClient, twin: Sandbox
) -> None:
    for _ in range(3):
        client.show_participant(PARTICIPANT)
    assert tokens_asked(twin) == 1
    assert len(twin.classic.tokens) == 1
    client.close()
    assert len(twin.classic.tokens) == 0


def test_a_closed_client_has_no_token_and_says_so(client: ClassicClient) -> None:
    with client:
        client.log_in()
    with pytest.raises(BugError, match="no token"):
        client.show_participant(PARTICIPANT)


def test_a_person_logs_in_with_user_password_organisation_and_unit(
    connect: Connect, twin: Sandbox
) -> None:
    login = UserLogin(
        username=lambda: "sandbox-user",
        password=lambda: "sandbox-password",
        organisation=ORGANISATION.slug,
        unit="Shop 2",
    )
    assert "sandbox-password" not in repr(login)
    shown = connect(login=login).show_participant(PARTICIPANT)
    assert shown.number == "RP0000000001"


@pytest.mark.parametrize(
    "login",
    [
        WebApiKey(key=lambda: "canary"),
        WebApiKey(key=lambda: KEY, unit="Shop 9"),
        UserLogin(username=lambda: "canary", password=lambda: "canary", organisation="x"),
    ],
)
def test_without_a_token_every_call_fails_clearly_and_tells_no_secret(
    login: Any, connect: Connect, twin: Sandbox
) -> None:
    client = connect(login=login)
    for call in (
        lambda: client.show_participant(PARTICIPANT),
        lambda: list(client.participants()),
        lambda: client.preview_purchase(sale()),
        lambda: client.create_purchase(sale()),
        lambda: client.create_purchases({"r": sale()}),
        lambda: client.show_purchase(identify("event", id="x")),
        lambda: list(client.purchases(RECEIVABLE)),
        lambda: client.cancel_purchase(identify("event", id="x")),
        lambda: list(client.awards(RECEIVABLE)),
        lambda: client.synchronise_products(identify("definition", code="SHOP_SYNC"), [{}]),
    ):
        with pytest.raises(CredentialsRefusedError, match="no token") as caught:
            call()
        assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert twin.classic.purchases(ORGANISATION.slug) == []


def test_a_jwt_is_renewed_before_its_two_hours_are_over(
    client: ClassicClient, twin: Sandbox, watch: Watch
) -> None:
    client.show_participant(PARTICIPANT)
    for minutes in (60, 30):
        watch.seconds += minutes * 60
        client.show_participant(PARTICIPANT)
    assert tokens_asked(twin) == 1
    watch.seconds += 600
    client.show_participant(PARTICIPANT)
    assert tokens_asked(twin) == 2


def test_an_old_token_is_renewed_after_an_hour_without_use_only(
    client: ClassicClient, twin: Sandbox, watch: Watch
) -> None:
    twin.classic.switch(tokens="idle")
    for _ in range(6):
        client.show_participant(PARTICIPANT)
        watch.seconds += 2400
    assert tokens_asked(twin) == 1
    watch.seconds += 600
    client.show_participant(PARTICIPANT)
    assert tokens_asked(twin) == 2


@pytest.mark.parametrize("mode", ["absolute", "idle"])
def test_a_token_that_ended_early_is_renewed_once_and_the_write_is_done_once(
    mode: str, client: ClassicClient, twin: Sandbox
) -> None:
    twin.classic.switch(tokens=mode)
    client.log_in()
    twin.classic.tokens.advance(7200)
    assert client.create_purchase(sale()).life_cycle_state == "POSTED"
    assert tokens_asked(twin) == 2
    assert len(twin.classic.purchases(ORGANISATION.slug)) == 1


def test_a_token_that_is_refused_again_right_after_its_renewal_is_an_error(
    client: ClassicClient, twin: Sandbox
) -> None:
    twin.classic.faults.add(FaultRule(kind="stale_token", path="show", times=None))
    with pytest.raises(CredentialsRefusedError, match="just given"):
        client.show_participant(PARTICIPANT)
    assert tokens_asked(twin) == 2


def test_an_expired_token_is_known_by_its_code_under_status_200_too(connect: Connect) -> None:
    token = answer(200, b'{"status":{"code":"OK"},"data":{"token":"T"}}')
    expired = answer(200, b'{"status":{"code":"EXPIRED_TOKEN"},"data":null}')
    shown = answer(200, b'{"status":{"code":"OK"},"data":{"number":"29"}}')
    with ScriptedServer(token, expired, token, shown) as server:
        assert connect(server.url).show_participant(PARTICIPANT).number == "29"


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"h.{payload}.s"


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (jwt(iat="1000", exp="4600"), 3600),
        (jwt(iat=1000, exp=4600), 3600),
        (jwt(iat="4600", exp="1000"), 7200),
        (jwt(iat="soon", exp="1000"), 7200),
        (jwt(exp="inf", iat="0"), 7200),
        ("a.%%%.c", 7200),
        ("a.W10.c", 7200),
        ("x" * 40, 7200),
    ],
)
def test_the_life_of_a_jwt_is_read_from_it_when_it_can_be(token: str, seconds: float) -> None:
    assert absolute_life_seconds(token) == seconds


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (answer(401, b""), CredentialsRefusedError),
        (answer(403, b"<html>"), CredentialsRefusedError),
        (answer(200, b"<html>"), MalformedAnswerError),
        (answer(200, b'{"status":{"code":"OK"}}'), MalformedAnswerError),
        (answer(200, b'{"status":{"code":"OK"},"data":{"token":""}}'), MalformedAnswerError),
        (answer(503, b'{"status":{"code":"DOWN"}}'), UnreachableError),
        (None, UnreachableError),
    ],
)
def test_no_usable_token_means_that_nothing_was_sent(
    step: bytes | None, error: type[Exception], connect: Connect
) -> None:
    with ScriptedServer(step) as server, pytest.raises(error):
        connect(server.url).create_purchase(sale())


# -- the envelope --------------------------------------------------------------------------------


TOKEN = answer(200, b'{"status":{"code":"OK"},"data":{"token":"T"}}')


@pytest.mark.parametrize("status", [200, 201, 400, 404, 409, 500, 503])
def test_the_code_decides_that_a_call_was_done_whatever_the_http_status(
    status: int, connect: Connect
) -> None:
    done = answer(status, b'{"status":{"code":"OK","message":"Hello!"},"data":{"id":"01B0"}}')
    with ScriptedServer(TOKEN, done) as server:
        assert connect(server.url).create_purchase(sale()).id == "01B0"


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422])
def test_the_code_decides_that_a_call_was_refused(status: int, connect: Connect) -> None:
    refused = answer(status, b'{"status":{"code":"WRONG_UNIT","description":"canary"}}')
    with ScriptedServer(TOKEN, refused) as server, pytest.raises(ClassicRefusedError) as caught:
        connect(server.url).create_purchase(sale())
    assert caught.value.told == "WRONG_UNIT"
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_code_that_does_not_look_like_one_is_not_shown(connect: Connect) -> None:
    refused = answer(200, b'{"status":{"code":"no card +61400000001"}}')
    with ScriptedServer(TOKEN, refused) as server, pytest.raises(ClassicRefusedError) as caught:
        connect(server.url).create_purchase(sale())
    assert "614" not in str(caught.value)


def test_a_failure_of_the_server_leaves_the_effect_of_a_write_unknown(connect: Connect) -> None:
    failed = answer(500, b'{"status":{"code":"SYSTEM_ERROR"}}')
    with ScriptedServer(TOKEN, failed) as server, pytest.raises(AnswerLostError):
        connect(server.url).create_purchase(sale())
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[]",
        b'{"data":{}}',
        b'{"status":"OK"}',
        b'{"status":{"code":"OK"},"data":{"total_amount":"much"}}',
    ],
)
def test_an_answer_of_no_known_form_is_never_a_success(body: bytes, connect: Connect) -> None:
    with (
        ScriptedServer(TOKEN, answer(200, body)) as server,
        pytest.raises(MalformedAnswerError),
    ):
        connect(server.url).create_purchase(sale())


@pytest.mark.parametrize(
    "step", [answer(403, b"<html>"), answer(200, b'{"status":{"code":"ACCESS_DENIED"}}')]
)
def test_what_the_key_may_not_do_is_for_a_person_to_change(step: bytes, connect: Connect) -> None:
    with ScriptedServer(TOKEN, step) as server, pytest.raises(CredentialsRefusedError):
        connect(server.url).create_purchase(sale())


def test_flags_come_as_numbers_and_amounts_as_texts_too(connect: Connect) -> None:
    body = b'{"status":{"code":"OK"},"data":{"allow_spending":1,"wallet_balance":"12.50"}}'
    with ScriptedServer(TOKEN, answer(200, body)) as server:
        preview = connect(server.url).preview_purchase(sale())
    assert (preview.allow_spending, preview.wallet_balance) == (True, Decimal("12.50"))


# -- who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "who",
    [
        PARTICIPANT,
        Identifier(
            "participant",
            "access_token_identifier",
            AccessToken(identifier="card-1", pass_code="4711"),
        ),
        Identifier("participant", "access_token_identifier", AccessToken(one_time_password="9999")),
        identify("participant", number="RP0000000001"),
    ],
)
def test_a_customer_is_identified_by_every_means(who: Identifier, client: ClassicClient) -> None:
    shown = client.show_participant(who)
    assert shown.number == "RP0000000001"
    assert shown.wallet is not None
    assert shown.wallet.balance == Decimal("5.00")
    assert client.show_participant(identify("participant", id=shown.id)) == shown


def test_nobody_is_a_refusal(client: ClassicClient) -> None:
    with pytest.raises(ClassicRefusedError, match="NOT_FOUND"):
        client.show_participant(identify("participant", number="RP9"))


def test_a_field_set_asks_for_less(client: ClassicClient) -> None:
    shown = client.show_participant(PARTICIPANT, fields=("number",))
    assert (shown.number, shown.id, shown.wallet) == ("RP0000000001", None, None)
    made = client.create_purchase(sale(), fields=("id",))
    assert made.id
    assert made.number is None
    assert client.show_purchase(identify("event", id=made.id), fields=("number",)).id is None
    assert (
        client.preview_purchase(sale("loke:2"), fields=("wallet_balance",)).allow_spending is None
    )
    for pages in (
        client.purchases(RECEIVABLE, fields=("number",)),
        client.awards(RECEIVABLE, fields=("number",)),
        client.participants(fields=("number",)),
    ):
        (rows,) = pages
        assert [(row.id, bool(row.number)) for row in rows] == [(None, True)]


# -- purchases -----------------------------------------------------------------------------------


def test_a_sale_goes_from_identification_to_the_receipt(
    client: ClassicClient, twin: Sandbox
) -> None:
    who = client.show_participant(PARTICIPANT)
    preview = client.preview_purchase(sale())
    assert preview.total_award_amount == Decimal("0.50")
    assert preview.maximum_spend_amount_per_transaction == Decimal("5.00")
    assert "Ada" not in repr(preview)
    made = client.create_purchase(sale())
    assert (made.type, made.total_amount) == ("PURCHASE", Decimal(10))
    assert made.performed_on == "2026-05-03T10:15:00"
    spent = client.spend(
        Spend(
            payer=identify("participant", number=who.number),
            place=identify("unit", code="SHOP-01"),
            at=AT,
            purchase=identify("settled_purchase", id=made.id),
            amount=Decimal("9.00"),
        )
    )
    assert spent.spend_amount == Decimal("5.50")  # the wallet and the award, not what was asked
    closing = close_sale(
        [line.amounts for line in sale().lines],
        [Spent(amount=spent.spend_amount, reduction_method=str(spent.reduction_method))],
    )
    assert (closing.redemption, closing.to_pay) == (Decimal("5.50"), Decimal("4.50"))
    assert client.cancel_purchase(identify("event", number=made.number)).life_cycle_state == (
        "CANCELLED"
    )
    again = client.show_participant(PARTICIPANT)
    assert again.wallet == who.wallet


def test_the_amounts_are_numbers_on_the_wire_digit_by_digit(connect: Connect) -> None:
    done = answer(200, b'{"status":{"code":"OK"},"data":{"id":"01B0"}}')
    with ScriptedServer(TOKEN, done) as server:
        connect(server.url, zone="Asia/Nicosia").create_purchase(sale())
        body = server.seen[1].body
    assert b'"net_amount":8.40,"vat_amount":1.60,"total_amount":10.00' in body
    assert b'"performed_on":"2026-05-03T13:15:00"' in body
    assert json.loads(body)["accounts_receivable_identifier"] == {
        "access_token_identifier": {"authentication_code": ADA}
    }


def test_a_sale_that_does_not_add_up_is_not_sent(client: ClassicClient, twin: Sandbox) -> None:
    wrong = Line(amounts=Amounts(net=Decimal(8), vat=Decimal(1), total=Decimal(10)))
    with pytest.raises(UnbalancedSaleError):
        client.create_purchase(sale(lines=[wrong]))
    assert twin.classic.requests.count() == 0


def test_many_purchases_go_in_thousands_and_may_partly_fail(
    client: ClassicClient, twin: Sandbox
) -> None:
    sales = {f"r-{number}": sale(f"loke:{number}") for number in range(1001)}
    sales["r-7"] = sale("loke:7", place=identify("unit", name="Shop 9"))
    told = client.create_purchases(sales)
    assert len(told.processed_customer_events_set) == 1000
    (refused,) = told.unprocessed_customer_events_set
    assert (refused.request_unique_identifier, refused.error_code) == ("r-7", "NOT_FOUND")
    assert twin.classic.requests.count("POST", "/customer_events/bulk/purchases/create") == 2


def test_lists_are_read_page_by_page_to_a_page_that_is_not_full(
    client: ClassicClient, twin: Sandbox
) -> None:
    client.create_purchases({f"r-{number}": sale(f"loke:{number}") for number in range(7)})
    for size, pages in ((3, [3, 3, 1]), (7, [7]), (100, [7])):
        read = [len(page) for page in client.purchases(RECEIVABLE, page_size=size)]
        assert read == pages
        assert [len(page) for page in client.awards(RECEIVABLE, page_size=size)] == pages
    (people,) = client.participants()
    assert [each.number for each in people] == ["RP0000000001"]
    assert list(client.purchases(identify("classification", name="none"))) == []
    with pytest.raises(ValueError, match="at least one"):
        list(client.purchases(RECEIVABLE, page_size=0))


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (b'[{"number":"1"}]', ["1"]),
        (b'{"any_name":[{"number":"1"}],"total":1}', ["1"]),
        (b"null", []),
        (b"{}", []),
    ],
)
def test_a_list_is_found_in_the_data_by_whatever_name(
    data: bytes, numbers: list[str], connect: Connect
) -> None:
    step = answer(200, b'{"status":{"code":"OK"},"data":' + data + b"}")
    with ScriptedServer(TOKEN, step) as server:
        pages = list(connect(server.url).purchases(RECEIVABLE))
    assert [row.number for page in pages for row in page] == numbers


@pytest.mark.parametrize("data", [b'{"a":[],"b":[]}', b'{"a":1}', b"[5]", b'"x"'])
def test_data_without_one_list_is_an_error_and_never_empty(data: bytes, connect: Connect) -> None:
    step = answer(200, b'{"status":{"code":"OK"},"data":' + data + b"}")
    with ScriptedServer(TOKEN, step) as server, pytest.raises(MalformedAnswerError):
        list(connect(server.url).purchases(RECEIVABLE))


# -- products ------------------------------------------------------------------------------------


def test_products_go_in_thousands_and_fail_row_by_row(client: ClassicClient, twin: Sandbox) -> None:
    rows = [{"code": f"SKU-{number}", "description": "Coffee"} for number in range(2500)]
    rows[1999] = {"description": "nameless"}
    told = client.synchronise_products(identify("definition", code="SHOP_SYNC"), rows)
    assert twin.classic.requests.count("POST", "/products/synchronise") == 3
    assert len(told.processed_products_set) == 2499
    (refused,) = told.unprocessed_products_set
    assert refused.error_code == "MANDATORY_PARAMETER_MISSING"
