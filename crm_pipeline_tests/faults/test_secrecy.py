"""What is said aloud while everything is said: loggers at their loudest, warnings, exceptions."""

import base64
import logging
import resource

import pytest
import yaml

from crm_pipeline.sandbox import FaultRule

CANARY = {
    "firstName": "Zoecanaria",
    "lastName": "Quetzalova",
    "email": "zoe.canary@quetzal-mail.example",
    "phoneNumber": "+61491570006",
    "hasAgreedToMarketing": True,
}


def forms(text):
    """A text in every usual form."""
    return {
        text, text.lower(), text.replace("@", "%40"), text.replace("+", "%2B"),
        base64.b64encode(text.encode()).decode().rstrip("="), text.encode().hex(),
    }  # fmt: skip


def needles(product):
    people = [value for value in CANARY.values() if isinstance(value, str)]
    secrets = [
        product.sandbox.settings.client_secret,
        *(each.crm_test_key for each in product.sandbox.settings.organisations),
    ]
    return {form for text in (*people, "491570006", *secrets) for form in forms(text)}


def with_canary(make_product):
    """An organisation with the canary, whose address a foreign contact holds already."""
    product = make_product(acme=12)
    organisation = product.sandbox.settings.organisations[0]
    product.sandbox.loke.mutate(organisation.id, count=2, fields=CANARY)
    foreign = {"person_name": {"first_name": "F", "last_name": "G"},
               "email_address": CANARY["email"]}  # fmt: skip
    product.sandbox.crm_com.add(organisation.crm_test_key, [foreign])
    return product


def everything_that_is_said(product):
    """Run what an operator runs, on good and on bad days; return the words."""
    said = []
    echo = f'{{"error": {{"code": "X", "message": "{CANARY["email"]} is taken"}}}}'
    for rule in (
        FaultRule(kind="status", status=409, method="POST", body=echo, times=3),
        FaultRule(kind="status", status=500, method="POST", body=echo, times=3),
        FaultRule(kind="cut_after", method="POST", times=2),
    ):
        product.sandbox.crm_com.faults.add(rule)
    for command in ("sync --org acme", "sync --org acme --full", "verify --org acme",
                    "plan show --org acme", "rejects list --org acme", "status",
                    "doctor acme"):  # fmt: skip
        answer = product.run_here(*command.split())
        said += [answer.out, answer.err]
    return "".join(said)


def test_loggers_at_their_loudest_say_nothing_of_a_person_or_a_secret(make_product, caplog):
    product = with_canary(make_product)
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "sqlalchemy", "alembic", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    said = everything_that_is_said(product) + caplog.text
    assert [each for each in needles(product) if each in said] == []


def test_warnings_and_a_development_mode_say_nothing_either(make_product):
    product = with_canary(make_product)
    product.waits |= {"PYTHONWARNINGS": "always", "PYTHONDEVMODE": "1", "PYTHONFAULTHANDLER": "1"}
    answers = [product.run("sync", "--org", "acme"), product.run("verify", "--org", "acme")]
    said = "".join(answer.out + answer.err for answer in answers)
    assert [each for each in needles(product) if each in said] == []


def test_no_name_of_a_file_or_folder_is_about_a_person(make_product):
    product = with_canary(make_product)
    everything_that_is_said(product)
    names = "\n".join(str(each) for each in (product.folder / "home").rglob("*"))
    assert [each for each in needles(product) if each in names] == []


def test_no_secret_is_kept_anywhere_in_the_home(make_product):
    product = with_canary(make_product)
    everything_that_is_said(product)
    secrets = [
        product.sandbox.settings.client_secret.encode(),
        *(each.crm_test_key.encode() for each in product.sandbox.settings.organisations),
    ]
    for path in (product.folder / "home").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert [each for each in secrets if each in content] == [], path.name


@pytest.mark.parametrize("text", ["Evil\nName", "\x1b[31mRed", "=HYPERLINK(1)", "[bold]x[/bold]"])
def test_a_name_cannot_break_a_line_that_we_write(make_product, text):
    product = make_product(acme=2)
    path = product.config / "acme.yaml"
    document = yaml.safe_load(path.read_text())
    document["mapping"] = {"email": {"on_invalid": "reject"}}
    path.write_text(yaml.safe_dump(document))
    product.sandbox.loke.mutate(
        product.sandbox.settings.organisations[0].id, count=2,
        fields={"firstName": text, "email": f"bad {text}"},
    )  # fmt: skip
    answer = product.run_here("sync", "--org", "acme")
    said = answer.out + answer.err + product.run_here("rejects", "list", "--org", "acme").out
    shown = product.run_here("rejects", "list", "--org", "acme", "--values").out
    assert text not in said
    assert "\x1b" not in shown
    assert "\nName" not in shown


def test_a_core_dump_would_hold_people_so_there_is_none(make_product):
    """What our processes may dump is nothing, whatever the shell allows."""
    product = make_product(acme=1)
    allowed = resource.getrlimit(resource.RLIMIT_CORE)
    if allowed[1] == 0:
        pytest.skip("core dumps are off for everybody here")
    resource.setrlimit(resource.RLIMIT_CORE, (allowed[1], allowed[1]))
    try:
        with product.receiver() as running:
            soft, _ = resource.prlimit(running.process.pid, resource.RLIMIT_CORE)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, allowed)
    assert soft == 0
