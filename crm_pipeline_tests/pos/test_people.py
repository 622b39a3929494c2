"""Identifying: the one contact that is meant, or nobody."""

import pytest

from crm_pipeline.pos import Balance, Means, PointOfSale
from crm_pipeline.pos.refusals import ContactUnknownError
from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.pos.conftest import KEY, MINA


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("code", "loke:A"),
        ("email", "Mina@Example.com"),
        ("phone", "+61400000001"),
        ("loyalty", "100000001908"),
        ("cim", "mina@example.com"),
        ("cim", "100000001908"),
    ],
)
def test_a_contact_is_found_by_each_means_with_the_money_in_the_wallet(
    pos: PointOfSale, desk: Desk, mina: str, kind: str, value: str
) -> None:
    desk.credit("loke:A", 1234)
    found = pos.identify(Means(kind=kind, value=value))  # type: ignore[arg-type]
    assert (found.id, found.code, found.name) == (mina, "loke:A", "Mina Okafor")
    assert found.wallet is not None
    assert found.wallet.balances == (Balance(currency="AUD", total=1234, open=1234, commerce=0),)


def test_a_contact_is_found_by_id_and_by_the_code_of_the_wallet(
    pos: PointOfSale, desk: Desk, mina: str
) -> None:
    assert pos.identify(Means(kind="id", value=mina)).code == "loke:A"
    code = str(desk.wallet("loke:A")["code"])
    assert pos.identify(Means(kind="wallet", value=code)).id == mina


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("id", "loke:A"),
        ("id", "6e2f83ca-69e9-4ea4-96c5-73a4c641979d"),
        ("code", "loke:Z"),
        ("email", "nobody@example.com"),
        ("phone", "+61400000009"),
        ("phone", "not a number"),
        ("phone", "+not a number"),
        ("loyalty", "1"),
        ("loyalty", "mina@example.com"),
        ("cim", "nothing"),
        ("wallet", "0000000000000000"),
        ("email", " "),
    ],
)
@pytest.mark.parametrize("status", [400, 404])
def test_nobody_is_found_by_what_is_nobodys_and_the_value_is_not_repeated(
    sandbox: Sandbox, pos: PointOfSale, mina: str, kind: str, value: str, status: int
) -> None:
    sandbox.crm_com.switch(not_found_status=status)
    with pytest.raises(ContactUnknownError) as caught:
        pos.identify(Means(kind=kind, value=value))  # type: ignore[arg-type]
    assert len(value) < 3 or value not in str(caught.value)


def test_digits_that_two_countries_share_identify_nobody_without_the_country(
    pos: PointOfSale, mina: str
) -> None:
    with pytest.raises(ContactUnknownError, match="several"):
        pos.identify(Means(kind="phone", value="400000001"))
    assert pos.identify(Means(kind="phone", value="+64400000001")).code == "loke:B"


def test_what_may_be_personal_is_in_no_repr(pos: PointOfSale, mina: str) -> None:
    means = Means(kind="email", value=str(MINA["email_address"]))
    shown = repr(means) + repr(pos.identify(means))
    assert "mina" not in shown.lower()
    assert "Okafor" not in shown


def test_a_contact_without_a_phone_is_not_taken_for_one_with_any(
    sandbox: Sandbox, pos: PointOfSale
) -> None:
    body = {"person_name": {"first_name": "Ana", "last_name": "Silva"}, "code": "loke:C"}
    sandbox.crm_com.add(KEY, [body])
    with pytest.raises(ContactUnknownError):
        pos.identify(Means(kind="email", value="None"))
