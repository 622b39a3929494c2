"""Faults between organisations: nothing of one is ever in another's hands."""

import datetime as dt
import threading
import time
from contextlib import closing

import pytest
import yaml

from crm_pipeline.core.ports import DestinationConnection
from crm_pipeline.core.records import Change, Limits, Waits
from crm_pipeline.destinations import load_destinations
from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.store.ledger import Ledger, Received
from crm_pipeline_tests.acceptance.test_convergence import wrong
from crm_pipeline_tests.sync.workbench import contact


def of(product, number):
    return product.sandbox.settings.organisations[number]


def contacts(product, number):
    return product.sandbox.crm_com.contacts(of(product, number).crm_test_key)


SAME = {
    "id": "01HSAMESAMESAMESAMESAMESA1",
    "email": "same@example.com",
    "phoneNumber": "+61491570006",
    "hasAgreedToMarketing": True,
}


def test_equal_ids_and_addresses_of_two_organisations_are_two_people(make_product):
    product = make_product(acme=3, beta=3)
    for number, name in enumerate(("Acme", "Beta")):
        person = {**SAME, "firstName": name, "hasAgreedToMarketing": number == 0}
        product.sandbox.loke.add(of(product, number).id, [person])
    for options in ((), ("--full",)):
        assert product.run_here("sync", "--all", *options).code == 0
        for number, name in enumerate(("Acme", "Beta")):
            assert wrong(product, number) == []
            (found,) = [each for each in contacts(product, number)
                        if each["code"] == f"loke:{SAME['id']}"]  # fmt: skip
            assert (found["first_name"], found["email"]) == (name, SAME["email"])
            assert found["email_opt_out"] is (number == 1)
    product.sandbox.loke.mutate(of(product, 0).id, ids=[SAME["id"]], fields={"firstName": "New"})
    product.sandbox.crm_com.requests.clear()
    assert product.run_here("sync", "--all").code == 0
    assert product.sandbox.crm_com.requests.count("PUT") == 1
    assert [wrong(product, number) for number in (0, 1)] == [[], []]


def test_every_call_of_an_organisation_carries_its_own_key_whatever_runs_beside_it():
    organisations = tuple(
        SandboxOrganisation(
            id=f"01HTHREADS00000000000000{n}", name=f"Org {n}", customers=0,
            crm_test_key=f"crm_test_{n}",
        )
        for n in range(4)
    )  # fmt: skip
    spec = load_destinations()["crm_com"]
    with Sandbox(SandboxSettings(organisations=organisations)) as sandbox:
        apis = [
            spec.connect(
                DestinationConnection(
                    organisation=each.slug,
                    base_url=sandbox.crm_com_url,
                    api_key=lambda key=each.crm_test_key: key,
                    limits=Limits(calls_per_second=10_000, concurrency=8),
                    waits=Waits(retry_base_seconds=0.001, timeout_seconds=20),
                    conflict="withhold",
                    options={},
                )
            )
            for each in organisations
        ]
        failures = []

        def write(number):
            place = number % 4
            after = contact(f"Org {place}")
            change = Change(
                seq=number, lane=1, kind="create", object_kind="contact", key=f"loke:{number}",
                crm_id=None, before=None, after=after, changed=tuple(after), reason="new",
                fingerprint="", version_at=None,
            )  # fmt: skip
            try:
                (result,) = apis[place].write([change])
                failures.extend([] if result.status == "acked" else [result])
            except Exception as error:  # noqa: BLE001  the test shows it
                failures.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(200)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert failures == []
        for place, each in enumerate(organisations):
            held = sandbox.crm_com.contacts(each.crm_test_key)
            assert len(held) == 50
            assert {row["first_name"] for row in held} == {f"Org {place}"}
        for api in apis:
            api.close()


def test_a_key_of_another_organisation_reaches_only_that_account_and_is_refused_as_shared(
    make_product,
):
    product = make_product(acme=4, beta=4)
    path = product.config / "acme.yaml"
    path.write_text(path.read_text().replace("CRM_COM_KEY_ACME", "CRM_COM_KEY_BETA"))
    answer = product.run_here("sync", "--all")
    assert answer.code == 78
    assert "shared_account" in answer.err
    assert contacts(product, 0) == contacts(product, 1) == []


def test_an_organisation_that_fails_and_is_flooded_takes_nothing_from_the_others(make_product):
    product = make_product(acme=5, beta=40)
    product.sandbox.loke.faults.add(
        FaultRule(kind="status", status=500, organisation="acme", times=None)
    )
    assert product.run_here("ledger", "migrate").code == 0
    now = dt.datetime.now(dt.UTC)
    path = product.folder / "home" / "ledger.sqlite3"
    with closing(Ledger(f"sqlite:///{path}", clock=lambda: now)) as ledger:
        ledger.inbox.append(
            [
                Received(
                    organisation="acme", source="loke", event="customer.updated",
                    entity_id=f"c{n}", dedup=f"{n}", received_at=now,
                    body=b'{"event":"customer.updated","customer":{"id":"c%d"}}' % n,
                )
                for n in range(5_000)
            ]
        )  # fmt: skip
    answer = product.run_here("sync", "--all", "--json")
    assert answer.code == 75
    assert answer.document["organisations"]["beta"]["exit_code"] == 0
    assert wrong(product, 1) == []
    assert product.sandbox.loke.requests.count(organisation="acme") < 60


@pytest.mark.parametrize(
    "rule",
    [
        FaultRule(kind="delay", delay_ms=3_000, organisation="acme", times=None),
        FaultRule(kind="status", status=429, retry_after=2, organisation="acme", times=None),
    ],
    ids=["slow", "throttled"],
)
def test_a_quiet_one_goes_round_after_round_while_another_is_at_work(make_product, rule):
    """The first in the alphabet takes longer than the test; the second is served twice."""
    product = make_product(acme=300, beta=3)
    product.waits |= {"CRM_PIPELINE_RETRY_MAX_MS": "3000"}
    product.sandbox.crm_com.faults.add(rule)
    loop = product.start("sync", "--all", "--loop", "--every", "0.3")
    try:
        for number in range(2):
            if number:
                product.sandbox.loke.mutate(of(product, 1).id, count=3, seed=number)
            deadline = time.monotonic() + 60
            while wrong(product, 1):
                assert time.monotonic() < deadline
                assert loop.poll() is None
                time.sleep(0.05)
        assert len(contacts(product, 0)) < 300
    finally:
        loop.kill()
        loop.wait()


@pytest.mark.parametrize(
    "command",
    [
        ("sync",),
        ("pull",),
        ("plan",),
        ("apply",),
        ("plan", "approve", "0123456789ab"),
        ("verify",),
        ("orgs", "pause"),
        ("orgs", "move-account", "--yes"),
        ("webhooks", "reset"),
        ("webhooks", "delete"),
        ("rejects", "list"),
    ],
    ids=" ".join,
)
def test_a_command_that_does_not_say_whose_does_nothing(make_product, command):
    product = make_product(acme=2, beta=2)
    answer = product.run_here(*command)
    assert answer.code == 78, answer.out
    assert answer.err
    assert product.sandbox.loke.requests.count() == 0
    assert product.sandbox.crm_com.requests.count() == 0


def readd(product, **changes):
    """Take an organisation's file away, look, and put it back, perhaps about somebody else."""
    path = product.config / "acme.yaml"
    document = yaml.safe_load(path.read_text())
    path.unlink()
    assert product.run_here("sync", "--all").code == 0
    document["sources"]["loke"] |= changes
    path.write_text(yaml.safe_dump(document))


def test_an_organisation_that_comes_back_goes_on_without_a_double(make_product):
    product = make_product(acme=20, beta=2)
    assert product.run_here("sync", "--all").code == 0
    readd(product)
    product.sandbox.loke.mutate(of(product, 0).id, count=5, seed=3)
    product.sandbox.crm_com.requests.clear()
    assert product.run_here("sync", "--org", "acme").code == 0
    assert product.sandbox.crm_com.requests.count("POST") == 0
    assert wrong(product, 0) == []


def test_a_name_that_is_given_to_another_organisation_of_the_source_is_refused(make_product):
    """Its state belongs to the old one: their people must never be laid together."""
    product = make_product(acme=20, beta=2)
    assert product.run_here("sync", "--all").code == 0
    readd(product, organisation_id=of(product, 1).id)
    before = contacts(product, 0)
    product.sandbox.crm_com.requests.clear()
    for command in (("sync", "--org", "acme", "--full"), ("pull", "--org", "acme")):
        answer = product.run_here(*command)
        assert answer.code == 78
        assert "another organisation of loke" in answer.err
    assert contacts(product, 0) == before


def test_a_wrong_id_that_landed_nothing_is_put_right_without_a_word(make_product):
    product = make_product(acme=3)
    path = product.config / "acme.yaml"
    document = yaml.safe_load(path.read_text())
    right = document["sources"]["loke"]["organisation_id"]
    for organisation_id, code in (("01HNOBODY", 78), (right, 0)):
        document["sources"]["loke"]["organisation_id"] = organisation_id
        path.write_text(yaml.safe_dump(document))
        assert product.run_here("sync", "--all").code == code
    assert wrong(product, 0) == []
