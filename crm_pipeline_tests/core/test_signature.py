"""What proves a webhook: LOKE's own signature, and a secret address."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.signature import is_loke_signed, is_secret, loke_signature

SECRET = "sandbox-loke-secret"
#: Computed apart from our code: the vendors file, 1.14.
VECTORS = [
    (
        b'{"event":"customer.updated","customer":{"id":"01HP000000000000000000TEST"}}',
        "sha256=2aff5113fb8a2192257e078cfc7e7cc7a1920e965978b3bff4b650fc4bf8adfa",
    ),
    (
        '{"event":"customer.updated","customer":{"firstName":"Zoë"}}'.encode(),
        "sha256=d9fd3cabd8429aa220954763bdd0b42679317fdf4e510e9a5b245ca64d65f988",
    ),
]
BODY, SIGNED = VECTORS[0]


@pytest.mark.parametrize(("body", "header"), VECTORS)
def test_the_known_bodies_have_the_known_signatures(body, header):
    assert loke_signature(body, SECRET) == header
    assert is_loke_signed(body, [header], [SECRET])


def test_a_body_that_was_written_anew_is_not_the_signed_one():
    body, header = VECTORS[1]
    assert not is_loke_signed(body.replace("ë".encode(), b"\\u00eb"), [header], [SECRET])
    assert not is_loke_signed(body + b"\n", [header], [SECRET])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["sha256="],
        [SIGNED[7:]],
        ["sha1=" + SIGNED[7:]],
        ["SHA256=" + SIGNED[7:]],
        ["sha256=" + SIGNED[7:].upper()],
        [SIGNED[:-1]],
        [SIGNED + "0"],
        [SIGNED + "\n"],
        [" " + SIGNED],
        [SIGNED, SIGNED],
        ["sha256=" + "é" * 64],
        ["sha256=" + "٣" * 64],
    ],
)
def test_every_other_form_of_the_header_is_refused(headers):
    assert not is_loke_signed(BODY, headers, [SECRET])


@pytest.mark.parametrize("place", range(len("sha256="), len(SIGNED)))
def test_one_wrong_digit_anywhere_in_a_signature_is_refused(place):
    other = "0" if SIGNED[place] != "0" else "1"
    header = f"{SIGNED[:place]}{other}{SIGNED[place + 1 :]}"
    assert not is_loke_signed(BODY, [header], [SECRET])


def test_the_old_secret_is_accepted_besides_the_new_one_and_a_retired_one_is_not():
    new, old, retired = (loke_signature(BODY, each) for each in ("new", "old", "retired"))
    assert is_loke_signed(BODY, [new], ["new", "old"])
    assert is_loke_signed(BODY, [old], ["new", "old"])
    assert not is_loke_signed(BODY, [retired], ["new", "old"])
    assert not is_loke_signed(BODY, [old], ["new"])


def test_an_empty_secret_proves_nothing():
    assert not is_loke_signed(BODY, [loke_signature(BODY, "")], ["", SECRET])
    assert not is_loke_signed(BODY, [SIGNED], [])


@given(st.binary(max_size=200), st.text(min_size=1, max_size=50), st.binary(max_size=5))
def test_exactly_the_signed_bytes_are_proved(body, secret, more):
    header = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert is_loke_signed(body, [header], [secret])
    assert is_loke_signed(body + more, [header], [secret]) == (more == b"")


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3))
def test_a_secret_address_is_one_of_the_secrets_and_never_empty(given_text, secrets):
    assert is_secret(given_text, secrets) == (given_text in secrets and given_text != "")


def test_a_text_that_is_no_unicode_is_no_secret():
    assert not is_secret("\ud800", ["a"])
