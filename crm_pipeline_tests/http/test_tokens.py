"""OAuth tokens: fetched once, renewed in time, never shown."""

import base64
import threading
from collections.abc import Callable, Iterator

import pytest

from crm_pipeline.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    MalformedAnswerError,
    UnreachableError,
)
from crm_pipeline.http import ClientCredentials
from crm_pipeline_tests.http.conftest import WAITS, MakeClient, StillTime
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer, free_url

SECRET = "canary:secret"


def token(value: str, **more: object) -> bytes:
    import json

    return answer(200, json.dumps({"access_token": value, **more}).encode())


MakeTokens = Callable[[str], ClientCredentials]


@pytest.fixture
def make_tokens(still_time: StillTime) -> Iterator[MakeTokens]:
    made: list[ClientCredentials] = []

    def make(url: str) -> ClientCredentials:
        tokens = ClientCredentials(
            url,
            client_id=lambda: "my client",
            client_secret=lambda: SECRET,
            waits=WAITS,
            seams=still_time.seams(),
        )
        made.append(tokens)
        return tokens

    yield make
    for tokens in made:
        tokens.close()


def test_a_token_is_asked_for_with_basic_client_authentication(make_tokens: MakeTokens) -> None:
    with ScriptedServer(token("t1")) as server:
        assert make_tokens(f"{server.url}/token").header() == ("Authorization", "Bearer t1")
    scheme, _, value = (server.seen[0].header("authorization") or "").partition(" ")
    assert (scheme, base64.b64decode(value)) == ("Basic", b"my+client:canary%3Asecret")
    assert server.seen[0].body == b"grant_type=client_credentials"
    assert server.seen[0].header("content-type") == "application/x-www-form-urlencoded"


def test_a_token_is_kept_until_eighty_percent_of_its_life(
    make_tokens: MakeTokens, still_time: StillTime
) -> None:
    with ScriptedServer(token("t1", expires_in=100), token("t2", expires_in="100")) as server:
        tokens = make_tokens(f"{server.url}/token")
        seen = []
        for now in (0.0, 79.9, 80.0, 159.0):
            still_time.passed_seconds = now
            seen.append(tokens.header()[1])
    assert seen == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]


@pytest.mark.parametrize("life", [None, "soon", -5, 0, [], 1e400])
def test_a_token_of_unknown_life_is_kept_until_it_is_refused(
    life: object, make_tokens: MakeTokens, still_time: StillTime
) -> None:
    with ScriptedServer(token("t1", expires_in=life if life != 1e400 else 10**400)) as server:
        tokens = make_tokens(f"{server.url}/token")
        tokens.header()
        still_time.passed_seconds = 1e9
        tokens.header()
        assert len(server.seen) == 1


def test_threads_that_need_a_token_share_one_call(make_tokens: MakeTokens) -> None:
    with ScriptedServer(token("t1", expires_in=3600)) as server:
        tokens = make_tokens(f"{server.url}/token")
        got: list[tuple[str, str]] = []
        threads = [threading.Thread(target=lambda: got.append(tokens.header())) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(server.seen), len(set(got))) == (1, 1)


def test_threads_whose_token_was_refused_share_one_renewal(make_tokens: MakeTokens) -> None:
    with ScriptedServer(token("t1"), token("t2"), token("t3")) as server:
        tokens = make_tokens(f"{server.url}/token")
        refused = tokens.header()
        assert all(tokens.renew(refused) for _ in range(5))
        assert tokens.header()[1] == "Bearer t2"
        assert len(server.seen) == 2


def test_a_refused_token_is_renewed_once_and_the_call_repeated(
    make_tokens: MakeTokens, make_client: MakeClient
) -> None:
    with (
        ScriptedServer(token("t1"), token("t2")) as issuer,
        ScriptedServer(answer(401), answer(200, b"[1]")) as server,
    ):
        client = make_client(server.url, make_tokens(f"{issuer.url}/token"))
        assert client.send("GET", "/a", is_repeatable=True).json() == [1]
        assert [each.header("authorization") for each in server.seen] == ["Bearer t1", "Bearer t2"]


def test_a_second_refusal_is_for_a_person_and_not_a_loop(
    make_tokens: MakeTokens, make_client: MakeClient, still_time: StillTime
) -> None:
    with ScriptedServer(token("t1"), token("t2")) as issuer, ScriptedServer(answer(401)) as server:
        client = make_client(server.url, make_tokens(f"{issuer.url}/token"))
        with pytest.raises(CredentialsRefusedError, match="doctor"):
            client.send("GET", "/a", is_repeatable=True)
        assert (len(server.seen), len(issuer.seen), still_time.slept) == (2, 2, [])


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusing_token_endpoint_is_a_configuration_error(
    status: int, make_tokens: MakeTokens
) -> None:
    with ScriptedServer(answer(status, b'{"error":"invalid_client"}')) as issuer:
        with pytest.raises(CredentialsRefusedError) as caught:
            make_tokens(f"{issuer.url}/token").header()
        assert len(issuer.seen) == 1
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"access_token": 5}', b'{"access_token": "a\\nb"}', b"{}"],
)
def test_an_answer_without_a_usable_token_is_malformed(
    body: bytes, make_tokens: MakeTokens
) -> None:
    with ScriptedServer(answer(200, body)) as issuer, pytest.raises(MalformedAnswerError):
        make_tokens(f"{issuer.url}/token").header()


def test_a_token_endpoint_in_trouble_is_tried_again(
    make_tokens: MakeTokens, still_time: StillTime
) -> None:
    with ScriptedServer(answer(503), answer(429, Retry_After="2"), token("t1")) as issuer:
        assert make_tokens(f"{issuer.url}/token").header()[1] == "Bearer t1"
    assert still_time.slept == [1.0, 3.0]


def test_a_token_endpoint_that_is_down_stops_the_call_before_it_is_made(
    make_tokens: MakeTokens, make_client: MakeClient
) -> None:
    with ScriptedServer(answer(200)) as server:
        client = make_client(server.url, make_tokens(f"{free_url()}/token"))
        with pytest.raises(UnreachableError):
            client.send("POST", "/a", json={}, is_repeatable=False, attempts=1)
        assert server.seen == []


def test_a_token_endpoint_that_loses_its_answer_leaves_no_doubt_about_the_call_itself(
    make_tokens: MakeTokens, make_client: MakeClient
) -> None:
    with ScriptedServer(None) as issuer, ScriptedServer(answer(200)) as server:
        client = make_client(server.url, make_tokens(f"{issuer.url}/token"))
        with pytest.raises(UnreachableError, match="nothing was sent"):
            client.send("POST", "/a", json={}, is_repeatable=False, attempts=1)
        assert server.seen == []


@pytest.mark.parametrize(
    "url", ["http://auth.example.com/token", "https://auth.example.com", "https://[", "token"]
)
def test_an_unsafe_token_url_is_a_configuration_error(url: str, make_tokens: MakeTokens) -> None:
    with pytest.raises(ConfigurationError):
        make_tokens(url)
