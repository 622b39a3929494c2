"""Wallets, journals, one-time passwords and loyalty numbers of the fake CRM.COM."""

from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.sandbox.conftest import SMALL, Clock
from crm_pipeline_tests.sandbox.test_crm_com_contacts import BARE, MINA, create, refused


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return Desk(sandbox.crm_com, SMALL.slug)


@pytest.fixture
def mina(crm: httpx.Client) -> str:
    return create(crm, MINA)


def test_a_wallet_is_there_from_the_first_moment_and_is_read_by_id_or_code(
    crm: httpx.Client, desk: Desk, mina: str
) -> None:
    listed = crm.get("/contacts?include_wallet=true").json()["content"][0]["wallet"]
    assert listed == crm.get(f"/contacts/{mina}").json()["wallet"]
    desk.credit(mina, 200)
    wallet = crm.get(f"/wallets/{listed['id']}").json()
    assert wallet == crm.get(f"/wallets/{listed['code']}").json()
    assert desk.wallet(mina)["id"] == listed["id"]
    assert [str(each["amount"]) for each in desk.journals()] == ["2.00"]
    assert (wallet["total_balance"], wallet["total_open"], wallet["total_commerce"]) == (2, 2, 0)
    assert wallet["balances"][0]["currency_code"] == "AUD"
    assert refused(crm.get("/wallets/none"))[2] == ["wallet", "none"]
    newer = crm.get(f"/contacts/{create(crm, BARE)}").json()["wallet"]["id"]
    assert crm.get(f"/wallets/{newer}").json()["total_balance"] == 0
    desk.business.contacts.delete(desk.business.contacts.find(mina) or {})
    assert crm.get(f"/wallets/{listed['id']}").status_code == 400


def test_money_is_moved_by_hand_and_stands_in_the_journal(
    crm: httpx.Client, desk: Desk, mina: str, clock: Clock
) -> None:
    def entry(action: str, amount: Any, **more: Any) -> httpx.Response:
        body = {"action": action, "entity": "WALLET", "amount": amount, "currency_code": "AUD"}
        return crm.post(f"/contacts/{mina}/journals", json={**body, **more})

    assert set(entry("CREDIT", 5.00, notes="goodwill").json()) == {"id"}
    clock.turn(hours=1)
    assert entry("DEBIT", 1.5).status_code == 200
    assert refused(entry("DEBIT", 3.51))[1] == "CANNOTSPENDAMOUNTWALLETBALANCENOTENOUGHEXCEPTION"
    for answer, field in (
        (entry("CREDIT", "5"), "amount"),
        (entry("CREDIT", 0), "amount"),
        (entry("GIFT", 5), "action"),
        (entry("CREDIT", 5, entity="ACCOUNT"), "entity"),
        (entry("CREDIT", 5, currency_code="EUR"), "currency_code"),
    ):
        assert refused(answer)[2] == [field]
    assert desk.balance(mina) == 350

    def amounts(path: str) -> list[tuple[str, float]]:
        return [(row["type"], row["amount"]) for row in crm.get(path).json()["content"]]

    both = [("DEBIT", 1.5), ("CREDIT", 5)]
    wallet = crm.get(f"/contacts/{mina}").json()["wallet"]["id"]
    assert amounts("/journals?entity=WALLET") == amounts(f"/wallets/{wallet}/journals") == both
    assert amounts("/journals?entity=WALLET&event=TOP_UP") == [("CREDIT", 5)]
    assert amounts("/journals?type=DEBIT") == [("DEBIT", 1.5)]
    later = int(clock().timestamp())
    assert amounts(f"/journals?posted_on[gte]={later}") == [("DEBIT", 1.5)]
    assert amounts("/journals?entity=ACCOUNT") == []


def test_a_code_proves_who_somebody_is_once(
    sandbox: Sandbox, crm: httpx.Client, mina: str, clock: Clock
) -> None:
    sent = crm.post(f"/contacts/{mina}/otp", json={"method": "SMS"}).json()
    assert sent["obfuscated_value"] == "******333"
    url = sandbox.crm_com_url.replace("/backoffice/v2", "/_sandbox/otp")
    waiting = httpx.get(f"{url}?key={SMALL.crm_test_key}", verify=False).json()["otp"]
    answer = {"auth_otp": sent["auth_otp"], "code": waiting[0]["code"]}
    wrong = crm.post(f"/contacts/{mina}/validate_otp", json={**answer, "code": "none"})
    assert refused(wrong)[1] == "INVALIDLOGINEXCEPTION"
    right = crm.post(f"/contacts/{mina}/validate_otp", json=answer)
    assert (right.status_code, right.content) == (204, b"")
    assert crm.post(f"/contacts/{mina}/validate_otp", json=answer).status_code == 400
    unreachable = create(crm, BARE)
    assert refused(crm.post(f"/contacts/{unreachable}/otp"))[2] == ["method"]


def test_loyalty_numbers_belong_to_one_contact_and_find_it(crm: httpx.Client, mina: str) -> None:
    card = {"loyalty_identifiers": [{"identifier": "100000001908"}]}
    crm.put(f"/contacts/{mina}", json=card)
    listed = crm.get(f"/customers/{mina}/loyalty_identifiers").json()
    assert listed["content"] == card["loyalty_identifiers"]
    found = crm.get("/customers?cim=100000001908").json()["content"]
    assert [each["id"] for each in found] == [mina]
    taken = crm.post("/contacts", json={**BARE, **card})
    assert refused(taken)[1] == "CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION"
    for given in (["100000001908"], "100000001908"):
        wrong = crm.put(f"/contacts/{mina}", json={"loyalty_identifiers": given})
        assert refused(wrong)[2] == ["loyalty_identifiers"]


def test_only_the_own_business_has_a_network(crm: httpx.Client) -> None:
    answer = crm.get("/organisations/none/network")
    assert refused(answer)[1:] == ("NOTFOUNDEXCEPTION", ["organisation", "none"])


def test_tags_are_asked_for_by_either_name_of_the_entity(crm: httpx.Client) -> None:
    for entity in ("CONTACTS", "contacts", "CONTACT", "CUSTOMERS"):
        assert len(crm.get(f"/tags?entity={entity}").json()["content"]) == 3
    assert crm.get("/tags?entity=PRODUCTS").json()["content"] == []


def test_admin_calls_show_and_move_the_trade(
    sandbox: Sandbox, crm: httpx.Client, mina: str
) -> None:
    base = sandbox.crm_com_url.replace("/backoffice/v2", "/_sandbox")

    def call(method: str, name: str, body: Any = None, status: int = 200) -> Any:
        answer = httpx.request(method, f"{base}/{name}", json=body, verify=False)
        assert answer.status_code == status, answer.text
        return answer.json()

    mine = f"key={SMALL.crm_test_key}"
    credit = {"organisation": SMALL.slug, "contact": MINA["code"], "amount": 250}
    assert call("POST", "wallets/credit", credit) == {"balance": 250}
    assert call("GET", f"wallets?{mine}")["sum"] == "2.50"
    otp = call("POST", "otp", {"key": SMALL.crm_test_key, "contact": mina})["otp"]
    purchase = {
        "reference_number": "till:x",
        "contact": {"otp": otp},
        "transaction_amounts": {"total": 2},
        "spend_request": {"amount": 2},
    }
    added = call("POST", "purchases/add", {"key": SMALL.crm_test_key, "purchases": [purchase]})
    shown = call("GET", f"purchases?{mine}&reference_number=till:x")
    assert (shown["total"], shown["rows"][0]["id"]) == (1, added["ids"][0])
    assert shown["rows"][0]["transaction_amounts"]["total"] == "2.00"
    events = [row["event"] for row in call("GET", f"journals?{mine}")["rows"]]
    assert events == ["TOP_UP", "SPEND", "AWARD"]
    made = call("POST", "purchases/add", {"organisation": SMALL.slug, "count": 3})
    assert len(made["ids"]) == 3
    assert call("GET", f"purchases?{mine}&offset=1&limit=2")["total"] == 4
    assert call("GET", f"outlets?{mine}")["outlets"][0]["tap_code"] == "harbour-coffee-0"
    assert call("GET", "wallets", status=400)["error"]
    call("POST", "wallets/credit", {**credit, "contact": "nobody"}, 400)
