"""From a subscription at the fake vendors to an event in the inbox."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline_tests.webhooks.running import RunningReceiver

BLUE = SandboxOrganisation(id="01HBLUE", name="Blue", slug="blue", customers=5)
SECRETS = {
    "LOKE_CLIENT_ID": "sandbox-client",
    "LOKE_CLIENT_SECRET": "sandbox-secret",
    "SOPOST_USER_ID": "sandbox-user",
    "SOPOST_PASSWORD": "sandbox-password",
    "CRM_COM_KEY_BLUE": BLUE.crm_test_key,
    "HOOK_LOKE": "loke-hook-secret",
    "HOOK_PATH": "path/secret 1",
}


@dataclass
class World:
    """The fake vendors, the file that names them, and the command line."""

    sandbox: Sandbox
    file: Path
    environ: dict[str, str]
    capsys: pytest.CaptureFixture[str]

    def point_to(self, url: str, more: str = "") -> None:
        """Write the organisation's file so that webhooks come to a receiver."""
        hooks = f"webhooks: {{url: '{url}', secret: {{env: HOOK_%s}}{more}}}"
        self.file.write_text(
            "sources:\n"
            f"  loke: {{base_url: '{self.sandbox.loke_url}', organisation_id: 01HBLUE,"
            f" datasets: [customers, payments], {hooks % 'LOKE'}}}\n"
            f"  sopost: {{base_url: '{self.sandbox.sopost_url}', entity_type: Organisation,"
            f" entity_id: {BLUE.sopost_id}, {hooks % 'PATH'}}}\n"
            f"  crm_com: {{{hooks % 'PATH'}}}\n"
            f"destinations: {{crm_com: {{base_url: '{self.sandbox.crm_com_url}'}}}}\n"
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command of ``webhooks``."""
        self.capsys.readouterr()
        code = handle_failures(app, ["webhooks", *arguments], self.environ)
        out, err = self.capsys.readouterr()
        return code, out, err

    def documents(self, *arguments: str) -> dict[str, dict]:
        """Run one command and return its answer by source."""
        code, out, err = self.run(*arguments, "--org", "blue", "--json")
        assert code == 0, err
        return {each["source"]: each for each in json.loads(out)["webhooks"]}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(
        SandboxSettings(organisations=(BLUE,), loke_port=0, crm_com_port=0, sopost_port=0)
    ) as running:
        yield running


@pytest.fixture
def world(sandbox, environ, tmp_path, capsys):
    folder = tmp_path / "organisations"
    for each in folder.iterdir():
        each.unlink()
    sandbox.loke.reset()
    sandbox.sopost.reset()
    made = World(sandbox, folder / "blue.yaml", environ | SECRETS, capsys)
    made.point_to("http://127.0.0.1:9")
    return made


def test_a_reset_subscribes_once_however_often_it_is_done(world):
    first, second = world.documents("reset"), world.documents("reset")
    assert [first[name]["did"] for name in ("loke", "sopost", "crm_com")] == [
        "created", "created", "by_hand",
    ]  # fmt: skip
    assert [second[name]["did"] for name in ("loke", "sopost")] == ["replaced", "replaced"]
    shown = world.documents("list")
    (loke,) = shown["loke"]["subscriptions"]
    (sopost,) = shown["sopost"]["subscriptions"]
    assert loke["ref"] == "crm-pipeline"
    assert loke["url"] == "http://127.0.0.1:9/webhooks/loke/blue"
    assert "customer.updated" in loke["events"]
    assert "payment.refunded" in loke["events"]
    assert "order.created" not in loke["events"]
    assert sopost["url"] == "http://127.0.0.1:9/webhooks/sopost/blue/***"
    assert sopost["events"] == ["OrderEvent"]
    assert loke["is_ours"] is sopost["is_ours"] is True


def test_a_new_address_a_new_secret_and_a_new_name_leave_nothing_of_before(world):
    world.documents("reset")
    world.environ["HOOK_PATH"] = "another"
    assert world.documents("reset")["sopost"]["removed"] == 1
    world.point_to("http://127.0.0.1:9", more=", ref: other-name")
    assert world.documents("reset")["loke"]["removed"] == 1
    shown = world.documents("list")
    assert [each["ref"] for each in shown["loke"]["subscriptions"]] == ["other-name"]
    assert len(shown["sopost"]["subscriptions"]) == 1


def test_deleting_ends_ours_only_and_may_be_repeated(world):
    world.documents("reset")
    world.point_to("http://127.0.0.1:8", more=", ref: somebody")
    world.documents("reset")
    world.point_to("http://127.0.0.1:9")
    assert world.documents("delete")["loke"]["removed"] == 1
    assert world.documents("delete")["loke"]["removed"] == 0
    (left,) = world.documents("list")["loke"]["subscriptions"]
    assert (left["ref"], left["is_ours"]) == ("somebody", False)


def test_no_output_holds_a_secret(world):
    texts = []
    for words in (["reset"], ["reset", "--json"], ["list"], ["list", "--json"], ["delete"]):
        code, out, err = world.run(*words, "--all")
        assert code == 0, err
        texts += [out, err]
    assert "by hand" in texts[0]
    for secret in ("loke-hook-secret", "path/secret", "path%2Fsecret"):
        assert secret not in "".join(texts)


def test_which_organisation_is_meant_has_to_be_said(world):
    for words in (["reset"], ["delete", "--org", "blue", "--all"]):
        code, _, err = world.run(*words)
        assert code == 78
        assert "--all" in err
    assert world.run("reset", "--org", "nobody")[0] == 78
    code, _, err = world.run("reset", "--org", "blue", "--source", "catalogue")
    assert (code, "webhooks" in err) == (78, True)


def test_one_source_that_fails_keeps_no_other_from_being_told(world):
    world.environ["LOKE_CLIENT_SECRET"] = "wrong"
    code, out, err = world.run("reset", "--all", "--json")
    documents = {each["source"]: each for each in json.loads(out)["webhooks"]}
    assert code == 78
    assert documents["loke"]["error"]["code"] == "credentials_refused"
    assert documents["sopost"]["did"] == "created"
    assert "blue, loke:" in err


def test_events_of_the_vendors_arrive_in_the_inbox(world, ledger, tmp_path):
    with RunningReceiver(tmp_path, world.environ) as receiver:
        world.point_to(f"http://127.0.0.1:{receiver.port}")
        world.documents("reset")
        customer = world.sandbox.loke.create_customer("01HBLUE", firstName="Zoë")
        order = world.sandbox.sopost.place("01HBLUE")
        world.sandbox.loke.hooks.flush()
        world.sandbox.sopost.hooks.flush()
        rows = ledger.inbox.claim("blue", 10)
    found = {(row.source, row.event, row.entity_id) for row in rows}
    assert found == {("loke", "customer.created", customer["id"]), ("sopost", "order", order)}
    assert [each.outcome for each in world.sandbox.loke.hooks.deliveries()] == ["delivered"]
