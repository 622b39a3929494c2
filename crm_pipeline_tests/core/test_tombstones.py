"""One person has one tombstone, however their identifiers are spelled."""

import pytest

from crm_pipeline.core.subject import CUSTOMER, EMAIL, PHONE
from crm_pipeline.core.tombstones import tombstone

KEY = b"k" * 32


def stone(kind, value, *, organisation="acme", key=KEY):
    return tombstone(key, organisation, kind, value)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (EMAIL, "mina@example.com", "Mina@Example.COM"),
        (EMAIL, "mina@example.com", " mina@example.com\n"),
        (EMAIL, "no address", "No Address "),
        (PHONE, "+61400000001", "+61 400 000 001"),
        (PHONE, "+61400000001", "AUS 400000001"),
        (CUSTOMER, "01HRP5E5X8V37E3S3E28JT97KB", "01hrp5e5x8v37e3s3e28jt97kb "),
    ],
)
def test_every_spelling_of_an_identifier_has_one_tombstone(kind, one, other):
    assert stone(kind, one) == stone(kind, other)


def test_every_kind_organisation_and_key_has_tombstones_of_its_own():
    value = "mina@example.com"
    stones = {
        stone(EMAIL, value),
        stone(CUSTOMER, value),
        stone(EMAIL, value, organisation="plum"),
        stone(EMAIL, value, key=b"l" * 32),
        stone(EMAIL, "mina@example.org"),
    }
    assert len(stones) == 5
