"""The point of sale on the command line: decimals in, decimals out, people only where asked."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation

ORG = ("--org", "blue")
SOLD = ("--reference", "R-17", "--line", "SKU-1:2:9.00:Coffee", "--line", "SKU-2:1:5.50")
MINA = ("--contact", "code=loke:A")
KEY = ORGANISATIONS[0].crm_test_key
COMMANDS = [
    ["pos"], ["pos", "identify"], ["pos", "purchase"], ["pos", "frontend"], ["pos", "void"],
    ["pos", "return"], ["pos", "codes"], ["pos", "orders"], ["pos", "orders", "list"],
    ["pos", "orders", "show"], ["pos", "orders", "complete"], ["pos", "orders", "cancel"],
    ["pos", "orders", "reasons"],
]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, environ: dict[str, str], tmp_path: Path) -> Sandbox:
    running.crm_com.reset()
    write_organisation(tmp_path / "organisations", running, "blue")
    environ |= secrets()
    body = {
        "person_name": {"first_name": "Mina", "last_name": "Okafor"},
        "code": "loke:A",
        "email_address": "mina@example.com",
    }
    running.crm_com.add(KEY, [body])
    return running


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return Desk(sandbox.crm_com, KEY)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(run: Run, command: list[str]) -> None:
    answer = run(*command, "--help")
    assert answer.code == 0
    assert f"crm-pipeline {' '.join(command)}" in answer.out


def test_identify_shows_money_and_the_name_only_when_asked(run: Run, desk: Desk) -> None:
    desk.credit("loke:A", 1234)
    who = ("--contact", "email=mina@example.com")
    answer = run("pos", "identify", *ORG, *who, "--json")
    found = answer.document["contact"]
    assert (found["code"], found["wallet"][0]["total"]) == ("loke:A", "12.34")
    plain = run("pos", "identify", *ORG, *who)
    for text in (answer.out, plain.out):
        assert "Mina" not in text
        assert "mina" not in text
    assert "12.34" in plain.out
    assert "Mina Okafor" in run("pos", "identify", *ORG, *who, "--values").out
    nobody = run("pos", "identify", *ORG, "--contact", "email=omar@example.com")
    assert nobody.code == 65
    assert "omar" not in nobody.err


def test_a_purchase_is_posted_once_however_often_it_is_typed(run: Run, desk: Desk) -> None:
    first = run("pos", "purchase", *ORG, *SOLD, *MINA, "--tax-rate", "0.1", "--json")
    second = run("pos", "purchase", *ORG, *SOLD, *MINA, "--tax-rate", "0.1", "--json")
    purchase = first.document["purchase"]
    assert (first.code, purchase["total"], purchase["award"]) == (0, "14.50", "0.73")
    assert second.document["purchase"] == {**purchase, "was_there": True}
    (shown,) = desk.purchases("R-17")
    assert str(shown["transaction_amounts"]["tax"]) == "1.32"
    assert desk.balance("loke:A") == 73
    again = run("pos", "purchase", *ORG, *SOLD, *MINA)
    assert "had been posted before" in again.out


def test_another_sale_under_the_reference_ends_with_65(run: Run, desk: Desk) -> None:
    run("pos", "purchase", *ORG, *SOLD, *MINA)
    answer = run("pos", "purchase", *ORG, "--reference", "R-17", "--line", "A:1:1.00", "--json")
    assert (answer.code, answer.document["error"]["code"]) == (65, "reference_taken")


def test_a_lost_sale_ends_with_75_and_names_the_way_out(
    run: Run, sandbox: Sandbox, desk: Desk
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_before", method="POST", path="/purchases$"))
    lost = run("pos", "purchase", *ORG, *SOLD, *MINA)
    assert lost.code == 75
    assert "same reference, R-17" in lost.err
    assert run("pos", "purchase", *ORG, *SOLD, *MINA).code == 0
    assert len(desk.purchases()) == 1


def test_the_front_end_says_what_is_still_to_be_paid(run: Run, desk: Desk) -> None:
    desk.credit("loke:A", 400)
    answer = run("pos", "frontend", *ORG, *SOLD, *MINA, "--spend", "5.00", "--json")
    purchase = answer.document["purchase"]
    assert (purchase["spend"], purchase["due"]) == ("4.00", "10.50")
    short = ("--reference", "R-18", "--line", "A:1:9.00", "--spend", "8", "--cover-all")
    refused = run("pos", "frontend", *ORG, *short, *MINA, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (65, "wallet_too_small")


def test_a_one_time_password_comes_from_a_variable_or_a_prompt_never_from_an_argument(
    run: Run, desk: Desk, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.credit("loke:A", 400)
    environ["TILL_OTP"] = desk.issue_otp("loke:A").otp
    used = run("pos", "purchase", *ORG, *SOLD, "--otp-env", "TILL_OTP", "--spend", "1", "--json")
    assert used.document["purchase"]["spend"] == "1.00"
    typed = desk.issue_otp("loke:A").otp
    monkeypatch.setattr("typer.prompt", lambda *_args, **_more: typed)
    asked = ("--reference", "R-18", "--line", "A:1:2.00", "--ask-otp", "--spend", "2")
    assert run("pos", "frontend", *ORG, *asked, "--json").document["purchase"]["due"] == "0.00"
    environ["TILL_OTP"] = "000000"
    wrong = ("--reference", "R-19", "--line", "A:1:2.00", "--otp-env", "TILL_OTP")
    refused = run("pos", "purchase", *ORG, *wrong)
    assert refused.code == 65
    assert "000000" not in refused.err
    missing = run("pos", "purchase", *ORG, *wrong[:-1], "NO_SUCH_VARIABLE")
    assert missing.code == 78
    written_out = run("pos", "purchase", *ORG, *wrong[:-1], "123456")
    assert written_out.code == 78
    assert "123456" not in written_out.err


def test_lines_come_from_a_file_or_from_standard_input(
    run: Run, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b'[{"sku": "a:1", "quantity": 2, "total": 9.10, "tax": "0.83", "name": "Coffee"}]'
    (tmp_path / "lines.json").write_bytes(lines)
    file = ("--lines", str(tmp_path / "lines.json"))
    assert run("pos", "purchase", *ORG, "--reference", "A", *file).code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert run("pos", "purchase", *ORG, "--reference", "B", "--lines", "-").code == 0
    shown = desk.purchases()
    assert [str(each["transaction_amounts"]["tax"]) for each in shown] == ["0.83", "0.83"]
    assert shown[0]["products"][0]["product_sku"]["sku"] == "a:1"


def test_void_and_return_are_done_once(run: Run, desk: Desk) -> None:
    run("pos", "purchase", *ORG, *SOLD, *MINA)
    codes = [run("pos", "void", *ORG, "--reference", "R-17").code for _ in range(2)]
    assert (codes, desk.balance("loke:A")) == ([0, 0], 0)
    crm_id = str(desk.purchases()[0]["id"])
    by_id = run("pos", "void", *ORG, "--id", crm_id, "--json")
    assert by_id.document["purchase"]["was_there"] is True
    desk.credit("loke:A", 100)
    back = ("pos", "return", *ORG, "--reference", "B-1", "--amount", "4.00", *MINA, "--json")
    assert [run(*back).document["return"]["debited"] for _ in range(2)] == ["0.20", "0.20"]
    assert desk.balance("loke:A") == 80
    assert run("pos", "void", *ORG, "--reference", "R-404").code == 65


def test_codes_are_told_and_written_as_pictures(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    receipt = ("--receipt", "R-17", "--merchant", "M1", "--venue", "V2", "--amount", "14.50")
    folder = tmp_path / "codes"
    answer = run("pos", "codes", *ORG, *receipt, "--out", str(folder), "--json")
    assert answer.document["qr"] == "R-17;M1;V2;1450"
    assert answer.document["barcode"] == "M1;R-17;1450;V2"
    names = {"qr.svg", "qr.png", "barcode.svg", "barcode.png"}
    assert {each.name for each in folder.iterdir()} == names
    assert run("pos", "codes", *ORG, *receipt[:-1], "14.505").code == 78
    file = tmp_path / "file"
    file.write_text("")
    assert run("pos", "codes", *ORG, *receipt, "--out", str(file / "x")).code == 78
    assert "R-17;M1;V2;1450" in run("pos", "codes", *ORG, *receipt).out


def test_orders_are_listed_shown_completed_and_cancelled(
    run: Run, sandbox: Sandbox, desk: Desk
) -> None:
    shop = Shop(sandbox.crm_com, KEY)
    first, second = (shop.place_order([("SKU-1", 2, 500)], contact="loke:A") for _ in range(2))
    listed = run("pos", "orders", "list", *ORG, "--state", "new", "--json").document["orders"]
    assert [each["id"] for each in listed] == [second, first]
    shown = run("pos", "orders", "show", *ORG, first)
    assert "SKU-1" in shown.out
    assert "Mina" not in shown.out
    assert "O000001" in run("pos", "orders", "list", *ORG).out
    run("pos", "purchase", *ORG, "--reference", "O000001", "--line", "SKU-1:2:10.00", *MINA)
    guarded = run("pos", "orders", "complete", *ORG, first, "--json")
    assert (guarded.code, guarded.document["error"]["code"]) == (65, "order_guarded")
    assert run("pos", "orders", "complete", *ORG, first, "--force").code == 0
    reasons = run("pos", "orders", "reasons", *ORG, "--json").document["reasons"]
    assert "Shop closed" in reasons.values()
    cancelled = run("pos", "orders", "cancel", *ORG, second, "--reason", "shop closed", "--json")
    assert cancelled.document["order"]["state"] == "CANCELLED"
    assert run("pos", "orders", "cancel", *ORG, second, "--reason", "x").code == 0
    assert run("pos", "orders", "show", *ORG, "nothing").code == 65


@pytest.mark.parametrize(
    "arguments",
    [
        ("purchase", *SOLD, "--contact", "mina@example.com"),
        ("purchase", "--reference", "R", "--line", "SKU-1"),
        ("purchase", "--reference", "R", "--line", "SKU-1:1:9.999"),
        ("purchase", "--reference", "R", "--line", "SKU-1:x:9"),
        ("purchase", "--reference", "R", "--line", "SKU-1:-1:9"),
        ("purchase", "--reference", "R"),
        ("purchase", "--reference", "a@b", "--line", "SKU-1:1:9"),
        ("purchase", *SOLD, "--lines", "/nowhere/lines.json"),
        ("purchase", *SOLD, "--cover-all"),
        ("purchase", *SOLD, "--ask-otp", "--otp-env", "X"),
        ("purchase", *SOLD, "--place", "shop"),
        ("purchase", *SOLD, "--date", "yesterday"),
        ("purchase", *SOLD, "--currency", "aud"),
        ("purchase", *SOLD, "--tax-rate", "ten"),
        ("frontend", *SOLD, *MINA, "--currency", "NZD"),
        ("void",),
        ("void", "--reference", "R", "--id", "I"),
        ("return", "--reference", "B", "--amount", "0"),
        ("identify", "--contact", "shoe=42"),
    ],
    ids=" ".join,
)
def test_what_was_typed_wrong_is_refused_before_anything_is_sent(
    run: Run, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    answer = run("pos", *arguments, *ORG, "--json")
    assert (answer.code, answer.document["error"]["exit_code"]) == (78, 78)
    assert "example.com" not in answer.err
    assert all(each.method == "GET" for each in sandbox.crm_com.requests.entries())


def test_lines_that_are_no_list_are_refused(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    for content in ("{}", "[1]", '[{"sku": "A"}]', '[{"sku": "A", "total": 1, "colour": 2}]', "["):
        file.write_text(content)
        answer = run("pos", "purchase", *ORG, "--reference", "R", "--lines", str(file))
        assert answer.code == 78


def test_a_paused_organisation_and_one_without_crm_com_sell_nothing(
    run: Run, sandbox: Sandbox, tmp_path: Path, environ: dict[str, str]
) -> None:
    run("orgs", "pause", "blue")
    assert run("pos", "purchase", *ORG, *SOLD).code == 78
    folder = tmp_path / "organisations"
    (folder / "red.yaml").write_text(
        f"sources: {{loke: {{organisation_id: 01HREDD}}}}\n"
        f"destinations: {{crm_com_classic: {{base_url: '{sandbox.classic_url}'}}}}\n"
    )
    environ["CRM_COM_CLASSIC_KEY_RED"] = "none"
    answer = run("pos", "purchase", "--org", "red", *SOLD)
    assert answer.code == 78
    assert run("pos", "purchase", "--org", "green", *SOLD).code == 78
    assert sandbox.crm_com.requests.entries() == []


def test_a_key_that_may_only_read_is_told_as_such(
    run: Run, sandbox: Sandbox, environ: dict[str, str], desk: Desk
) -> None:
    environ["CRM_COM_KEY_BLUE"] = ORGANISATIONS[0].crm_read_only_key
    answer = run("pos", "purchase", *ORG, *SOLD, *MINA, "--json")
    assert (answer.code, answer.document["error"]["code"]) == (78, "credentials_refused")
    assert desk.purchases() == []
