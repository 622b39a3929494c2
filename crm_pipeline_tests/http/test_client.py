"""What an answer, or its lack, becomes for the caller."""

import gzip
import socket
import ssl
import threading
import traceback

import pytest

from crm_pipeline.core.records import Waits
from crm_pipeline.errors import (
    AnswerLostError,
    ConfigurationError,
    CredentialsRefusedError,
    CrmPipelineError,
    ForeignLinkError,
    MalformedAnswerError,
    SecretMissingError,
    ThrottledError,
    UnreachableError,
)
from crm_pipeline.http import ApiKey
from crm_pipeline_tests.http.conftest import MakeClient, StillTime
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer, free_url

KEY = "canary-key-1"


def api_key() -> ApiKey:
    return ApiKey("api_key", lambda: KEY)


def test_an_answer_is_read_whole_with_its_headers_in_lower_case(make_client: MakeClient) -> None:
    with ScriptedServer(answer(200, b'{"a": 1}', X_Next_Page="/more")) as server:
        got = make_client(server.url).send("GET", "/a", is_repeatable=True)
    assert (got.status, got.json(), got.headers["x-next-page"]) == (200, {"a": 1}, "/more")


def test_query_values_and_a_json_body_are_encoded(make_client: MakeClient) -> None:
    with ScriptedServer(answer(200)) as server:
        make_client(f"{server.url}/v2/").send(
            "POST", "/a", query={"phone": "+61 4"}, json={"ä": None}, is_repeatable=False
        )
    assert server.seen[0].target == "/v2/a?phone=%2B61%204"
    assert server.seen[0].body == '{"ä":null}'.encode()
    assert server.seen[0].header("content-type") == "application/json"


def test_a_compressed_answer_is_unpacked(make_client: MakeClient) -> None:
    with ScriptedServer(answer(200, gzip.compress(b"[1]"), Content_Encoding="gzip")) as server:
        assert make_client(server.url).send("GET", "/a", is_repeatable=True).json() == [1]
    assert server.seen[0].header("accept-encoding") == "gzip"


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_status_with_a_vendors_own_meaning_is_left_to_the_caller(
    status: int, make_client: MakeClient
) -> None:
    with ScriptedServer(answer(status)) as server:
        got = make_client(server.url).send("GET", "/a", is_repeatable=True)
        assert (got.status, len(server.seen)) == (status, 1)


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_no_connection_is_surely_not_sent_and_is_tried_again_a_bounded_number_of_times(
    is_repeatable: bool, make_client: MakeClient, still_time: StillTime
) -> None:
    client = make_client(free_url())
    with pytest.raises(UnreachableError, match="Nothing was sent"):
        client.send("POST", "/a", json={}, is_repeatable=is_repeatable)
    assert still_time.slept == [1.0, 2.0, 4.0]


def test_a_host_that_does_not_exist_is_unreachable(make_client: MakeClient) -> None:
    client = make_client("https://nobody.invalid")
    with pytest.raises(UnreachableError):
        client.send("GET", "/a", is_repeatable=True, attempts=1)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_repeatable_call_is_tried_again_when_the_server_could_not_answer(
    status: int, make_client: MakeClient, still_time: StillTime
) -> None:
    with ScriptedServer(answer(status), answer(status), answer(200)) as server:
        assert make_client(server.url).send("PUT", "/a", is_repeatable=True).is_success
    assert (len(server.seen), still_time.slept) == (3, [1.0, 2.0])


@pytest.mark.parametrize(
    "step",
    [
        answer(500),
        answer(502, b"<html>"),
        answer(503),
        answer(504),
        None,
        answer(200, b"x" * 100)[:-50],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"garbage\r\n\r\n",
        answer(200, b"not gzip", Content_Encoding="gzip"),
    ],
)
def test_a_write_without_a_usable_answer_has_an_unknown_effect_and_is_not_sent_again(
    step: bytes | None, make_client: MakeClient
) -> None:
    with ScriptedServer(step) as server:
        with pytest.raises(AnswerLostError, match="unknown"):
            make_client(server.url).send("POST", "/a", json={}, is_repeatable=False)
        assert len(server.seen) == 1


def test_a_write_whose_answer_times_out_has_an_unknown_effect(make_client: MakeClient) -> None:
    release = threading.Event()
    waits = Waits(timeout_seconds=0.1)

    def keep_silent(connection: socket.socket) -> None:
        release.wait(5)

    with ScriptedServer(keep_silent) as server:
        client = make_client(server.url, waits=waits)
        with pytest.raises(AnswerLostError, match="time-out"):
            client.send("POST", "/a", json={}, is_repeatable=False)
        release.set()
        assert len(server.seen) == 1


def test_an_answer_that_trickles_in_is_given_up_after_the_total_time(
    make_client: MakeClient, still_time: StillTime
) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        for _ in range(3):
            still_time.passed_seconds += 1.0
            connection.sendall(b"1")

    with (
        ScriptedServer(trickle) as server,
        pytest.raises(AnswerLostError),
    ):
        make_client(server.url).send("GET", "/a", is_repeatable=True, attempts=1)


def test_a_429_is_tried_again_after_the_time_that_the_server_asks_for(
    make_client: MakeClient, still_time: StillTime
) -> None:
    later = answer(429, Retry_After="7")
    on_date = answer(
        429,
        Date="Fri, 21 Nov 2025 12:00:00 GMT",
        Retry_After="Fri, 21 Nov 2025 12:00:20 GMT",
    )
    with ScriptedServer(later, on_date, answer(429), answer(201)) as server:
        got = make_client(server.url).send("POST", "/a", json={}, is_repeatable=False)
    assert got.status == 201
    assert still_time.slept == [8.0, 21.0, 4.0]


@pytest.mark.parametrize("value", ["-5", "soon", "", "NaN", "1e9", "Fri, 21 Nov 1925 10:00:00 GMT"])
def test_a_senseless_retry_after_counts_as_none(
    value: str, make_client: MakeClient, still_time: StillTime
) -> None:
    with ScriptedServer(answer(503, Retry_After=value), answer(200)) as server:
        make_client(server.url).send("GET", "/a", is_repeatable=True)
    assert still_time.slept == [1.0]


def test_a_day_long_retry_after_ends_the_run_after_one_call(
    make_client: MakeClient, still_time: StillTime
) -> None:
    with ScriptedServer(answer(429, Retry_After="86400")) as server:
        with pytest.raises(ThrottledError) as caught:
            make_client(server.url).send("GET", "/a", is_repeatable=True)
        assert len(server.seen) == 1
    assert (caught.value.retry_after_seconds, still_time.slept) == (86400.0, [])


def test_a_wait_is_never_longer_than_the_longest_wait(
    make_client: MakeClient, still_time: StillTime
) -> None:
    with ScriptedServer(answer(429, Retry_After="900"), answer(200)) as server:
        make_client(server.url).send("GET", "/a", is_repeatable=True)
    assert still_time.slept == [60.0]


def test_one_attempt_leaves_trying_again_to_the_caller(
    make_client: MakeClient, still_time: StillTime
) -> None:
    with ScriptedServer(answer(429, Retry_After="3")) as server:
        with pytest.raises(ThrottledError) as caught:
            make_client(server.url).send("PUT", "/a", is_repeatable=True, attempts=1)
        assert len(server.seen) == 1
    assert (caught.value.retry_after_seconds, still_time.slept) == (3.0, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_other_server_never_sees_the_key(
    status: int, make_client: MakeClient
) -> None:
    with (
        ScriptedServer(answer(200)) as other,
        ScriptedServer(answer(status, Location=f"{other.url}/x")) as server,
    ):
        with pytest.raises(ConfigurationError, match="redirect"):
            make_client(server.url, api_key()).send("GET", "/a", is_repeatable=True)
        assert other.seen == []
        assert server.seen[0].header("api_key") == KEY


@pytest.mark.parametrize(
    "path",
    ["https://evil.example/a", "//evil.example/a", "http://127.0.0.1:1/a", "evil", "", "\\\\evil"],
)
def test_a_call_to_another_server_is_refused_before_any_request(
    path: str, make_client: MakeClient
) -> None:
    with ScriptedServer(answer(200)) as server:
        with pytest.raises(ForeignLinkError):
            make_client(server.url, api_key()).send("GET", path, is_repeatable=True)
        assert server.seen == []


def test_a_user_name_in_a_url_makes_it_foreign(make_client: MakeClient) -> None:
    with ScriptedServer(answer(200)) as server:
        url = server.url.replace("://", "://me:you@")
        with pytest.raises(ForeignLinkError):
            make_client(server.url, api_key()).send("GET", f"{url}/a", is_repeatable=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "https://user:secret@api.example.com",
        "https://api.example.com?x=1",
        "https://api.exa mple.com",
        "https://api.example.com:99999",
        "api.example.com",
        "",
    ],
)
def test_an_unsafe_base_url_is_a_configuration_error(url: str, make_client: MakeClient) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_client(url)
    assert "secret" not in str(caught.value)


def test_the_environments_proxy_is_not_used(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", free_url())
    monkeypatch.setenv("ALL_PROXY", free_url())
    with ScriptedServer(answer(200)) as server:
        assert make_client(server.url).send("GET", "/a", is_repeatable=True).is_success


def test_a_body_over_the_limit_is_not_read(make_client: MakeClient) -> None:
    with (
        ScriptedServer(answer(200, b"x" * 2000)) as server,
        pytest.raises(MalformedAnswerError, match="over 1000 bytes"),
    ):
        make_client(server.url, body_limit_bytes=1000).send("GET", "/a", is_repeatable=True)


def test_a_small_body_that_unpacks_to_a_huge_one_is_not_read(make_client: MakeClient) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with (
        ScriptedServer(answer(200, bomb, Content_Encoding="gzip")) as server,
        pytest.raises(MalformedAnswerError),
    ):
        make_client(server.url, body_limit_bytes=100_000).send("GET", "/a", is_repeatable=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>canary@example.com</html>",
        b'[{"id": "canary',
        b"[NaN]",
        b"\xff\xfe[\x00]\x00",
        b'["\xe9"]',
        b"[" * 100_000,
        b"[1] x",
        b"\xef\xbb\xbf[]",
    ],
)
def test_a_body_that_is_not_one_json_value_is_an_error_that_quotes_nothing(
    body: bytes, make_client: MakeClient
) -> None:
    with ScriptedServer(answer(200, body, Content_Type="text/html; x")) as server:
        got = make_client(server.url).send("GET", "/a", is_repeatable=True)
    with pytest.raises(MalformedAnswerError) as caught:
        got.json()
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_certificates_and_host_names_are_always_verified() -> None:
    assert _tls_of("https://127.0.0.1").verify_mode == ssl.CERT_REQUIRED
    assert _tls_of("https://127.0.0.1").check_hostname
    assert _tls_of("http://127.0.0.1").verify_mode == ssl.CERT_REQUIRED


def _tls_of(url: str) -> ssl.SSLContext:
    from crm_pipeline.http.exchange import _tls_context

    return _tls_context(url.partition(":")[0])


def test_a_server_without_proper_tls_is_unreachable_and_gets_nothing(
    make_client: MakeClient,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard: list[bytes] = []

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        client = make_client(f"https://127.0.0.1:{listener.getsockname()[1]}", api_key())
        with pytest.raises(UnreachableError):
            client.send("GET", "/a", is_repeatable=True, attempts=1)
        thread.join(5)
    assert KEY.encode() not in heard[0]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_a_configuration_error_after_one_call(
    status: int, make_client: MakeClient
) -> None:
    with ScriptedServer(answer(status)) as server:
        client = make_client(server.url, api_key(), refused_statuses=frozenset({401, 403}))
        with pytest.raises(CredentialsRefusedError):
            client.send("POST", "/a", json={}, is_repeatable=False)
        assert len(server.seen) == 1


def test_a_key_that_was_rotated_meanwhile_is_tried_once(make_client: MakeClient) -> None:
    keys = iter(["old", "new", "new", "new"])
    with ScriptedServer(answer(401), answer(200)) as server:
        make_client(server.url, ApiKey("api_key", lambda: next(keys))).send(
            "POST", "/a", json={}, is_repeatable=False
        )
    assert [each.header("api_key") for each in server.seen] == ["old", "new"]


@pytest.mark.parametrize("secret", ["", "  ", "a\nb", "kéy", "a\x00"])
def test_a_secret_that_no_header_can_carry_is_named_but_not_shown(
    secret: str, make_client: MakeClient
) -> None:
    with ScriptedServer(answer(200)) as server:
        client = make_client(server.url, ApiKey("api_key", lambda: secret))
        with pytest.raises(SecretMissingError, match="API key"):
            client.send("GET", "/a", is_repeatable=True)
        assert server.seen == []


@pytest.mark.parametrize("step", [answer(401), answer(429), answer(503), answer(302), None, b"x"])
def test_no_error_tells_a_query_value_a_body_or_a_key(
    step: bytes | None, make_client: MakeClient
) -> None:
    with ScriptedServer(step) as server, pytest.raises(CrmPipelineError) as caught:
        make_client(server.url, api_key()).send(
            "POST",
            "/contacts",
            query={"email": "canary@example.com"},
            json={"name": "canary"},
            is_repeatable=False,
            attempts=1,
        )
    text = "".join(traceback.format_exception(caught.value))
    assert "canary" not in text
    assert "POST 127.0.0.1 /contacts" in str(caught.value)


def test_connections_are_reused(make_client: MakeClient) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    def answer_twice(connection: socket.socket) -> None:
        connection.sendall(whole)
        assert connection.recv(65536)
        connection.sendall(whole)

    with ScriptedServer(answer_twice) as server:
        client = make_client(server.url)
        for _ in range(2):
            assert client.send("GET", "/a", is_repeatable=True).is_success
        assert len(server.seen) == 1  # one connection: the second request came down the first


def test_many_threads_share_one_client(make_client: MakeClient) -> None:
    with ScriptedServer(answer(200, b"[7]")) as server:
        client = make_client(server.url, connections=4)
        got: list[object] = []
        threads = [
            threading.Thread(
                target=lambda: got.append(client.send("GET", "/a", is_repeatable=True).json())
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [[7]] * 20
