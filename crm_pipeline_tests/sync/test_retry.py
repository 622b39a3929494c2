"""What was set aside goes through once its cause is gone, and nothing else is touched."""

import json

import pytest

from crm_pipeline.core.audit import INSTALLATION
from crm_pipeline.core.records import Reject
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Received
from crm_pipeline.sync.audit import key_digest
from crm_pipeline.sync.retry import choose, discard, retry
from crm_pipeline.sync.run import sync_organisation
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.sync.test_deliver_kinds import guarded

PLUM = SandboxOrganisation(id="01HPLUM", name="Plum", slug="plum", customers=12, payments=6)
FILE = """
sources:
  loke:
    base_url: {loke}
    organisation_id: 01HPLUM
    datasets: [customers, payments]
destinations:
  crm_com:
    base_url: {crm}
    limits: {{calls_per_second: 1000, concurrency: 4}}
    sends: [contacts, products, purchases]
purchases: {{go_live: "2019-01-01T00:00:00Z"{places}}}
{extra}
"""


class World:
    """One organisation in the sandbox, whose file can change."""

    def __init__(self, sandbox, tmp_path):
        self.sandbox = sandbox
        self.folder = tmp_path / "organisations"
        self.folder.mkdir()
        self.write()
        environ = {
            "CRM_PIPELINE_HOME": str(tmp_path / "home"),
            "CRM_PIPELINE_CONFIG": str(self.folder),
            "CRM_PIPELINE_TEST": "1",
            "CRM_PIPELINE_RETRY_BASE_MS": "20",
            "CRM_PIPELINE_RETRY_MAX_MS": "50",
            "CRM_PIPELINE_SETTLE_MS": "0",
            "LOKE_CLIENT_ID": "sandbox-client",
            "LOKE_CLIENT_SECRET": "sandbox-secret",
            "CRM_COM_KEY_PLUM": PLUM.crm_test_key,
        }
        self.runtime = Runtime(load_settings(environ))

    def write(self, *, extra="", places=""):
        loke, crm = self.sandbox.loke_url, self.sandbox.crm_com_url
        text = FILE.format(loke=loke, crm=crm, extra=extra, places=places)
        (self.folder / "plum.yaml").write_text(text)

    @property
    def ws(self):
        return self.runtime.workspace

    @property
    def organisation(self):
        return self.runtime.organisation("plum")

    @property
    def rejects(self):
        return self.ws.ledger.rejects.list("plum")

    def sync(self, **how):
        return sync_organisation(self.ws, self.organisation, **how)

    def retry(self, *keys, organisation=None, **how):
        chosen = choose(self.rejects, keys, **(how or ({} if keys else {"is_all": True})))
        return retry(self.ws, organisation or self.organisation, chosen, by="mina")

    def remote(self):
        return {each["code"]: each for each in self.sandbox.crm_com.contacts(PLUM.crm_test_key)}

    def writes(self):
        log = self.sandbox.crm_com.requests
        return log.count("POST", "/contacts"), log.count("PUT", "/contacts")


@pytest.fixture
def world(tmp_path):
    with Sandbox(SandboxSettings(organisations=(PLUM,))) as sandbox:
        made = World(sandbox, tmp_path)
        yield made
        made.runtime.close()


def endings(report):
    return {each.stored.reject.key: (each.ending, each.reason) for each in report.retried}


def test_what_the_crm_refused_is_sent_again_and_nothing_else(world):
    fault = FaultRule(kind="status", status=422, method="POST", path="/contacts", times=2)
    world.sandbox.crm_com.faults.add(fault)
    world.sync()
    refused = {each.reject.key for each in world.rejects if each.reject.dataset == "contact"}
    assert len(refused) == 2
    world.sandbox.loke.mutate("plum", count=3)
    world.sandbox.crm_com.requests.clear()
    report = world.retry()
    assert {ending for ending, _ in endings(report).values()} == {"done"}
    assert world.writes() == (2, 0)
    assert refused <= world.remote().keys()
    assert world.rejects == []


def test_what_is_refused_again_stays_and_says_why(world):
    fault = FaultRule(kind="status", status=422, method="POST", path="/contacts", times=None)
    world.sandbox.crm_com.faults.add(fault)
    world.sync()
    key = next(each.reject.key for each in world.rejects if each.reject.dataset == "contact")
    report = world.retry(key)
    assert endings(report) == {key: ("refused", "invalid_value")}
    assert report.staying == 1
    world.sandbox.crm_com.faults.clear()
    assert endings(world.retry(key)) == {key: ("done", "")}


def test_a_crm_that_does_not_answer_leaves_what_was_set_aside_waiting(world):
    fault = FaultRule(kind="status", status=422, method="POST", path="/contacts", times=1)
    world.sandbox.crm_com.faults.add(fault)
    world.sync()
    world.sandbox.crm_com.faults.add(FaultRule(kind="status", status=503, times=None))
    report = world.retry(reason="invalid_value")
    assert {ending for ending, _ in endings(report).values()} == {"waiting"}
    assert {error.next_step for error in report.errors} == {"retry"}
    world.sandbox.crm_com.faults.clear()
    assert world.retry().staying == 0


def test_a_guard_stops_a_retry_as_it_stops_any_plan(world):
    fault = FaultRule(kind="status", status=422, method="POST", path="/contacts", times=2)
    world.sandbox.crm_com.faults.add(fault)
    world.sync()
    strict = guarded(world.organisation, max_creates=1)
    report = world.retry(organisation=strict, reason="invalid_value")
    assert [error.code for error in report.errors] == ["plan_guarded"]
    assert {ending for ending, _ in endings(report).values()} == {"waiting"}


def test_what_needs_nothing_any_more_is_struck_off_without_a_call(world):
    world.sync()
    (key, *_) = world.remote()
    for old in (key, "loke:nobody"):
        reject = Reject(
            stage="apply", dataset="contact", key=old, reason="invalid_value", detail="", payload=""
        )
        world.ws.ledger.rejects.add("plum", "crm_com", [reject])
    world.sandbox.crm_com.requests.clear()
    assert world.retry().staying == 0
    assert world.writes() == (0, 0)
    assert world.rejects == []


def test_a_payment_that_could_not_be_resolved_goes_once_the_file_is_right(world):
    somewhere = ", locations: {NOWHERE: {organisation: o}}"
    world.write(places=somewhere)
    world.sync()
    kept = world.rejects
    assert {each.reject.reason for each in kept} == {"location_unmapped"}
    assert world.retry().staying == len(kept)
    world.write()
    world.runtime.reload()
    one, *others = [each.reject.key for each in kept]
    report = world.retry(one)
    assert endings(report)[one] == ("done", "")
    sent = world.sandbox.crm_com.requests.count("POST", "/purchases")
    assert sent == 1
    assert others
    world.sync()
    assert world.rejects == []


def test_a_record_that_the_mapping_refused_is_resolved_and_sent_alone(world):
    changed = world.sandbox.loke.mutate("plum", count=2, fields={"email": "no address"})
    strict = "mapping: {email: {on_invalid: reject}}"
    world.write(extra=strict)
    world.sync()
    keys = [f"loke:{each}" for each in changed]
    refused = [each.reject.key for each in world.rejects if each.reject.reason == "email_invalid"]
    assert set(keys) <= set(refused)
    assert world.retry(reason="email_invalid").staying == len(refused)
    world.write()
    world.runtime.reload()
    before = world.remote().keys()
    report = world.retry(keys[0])
    assert endings(report) == {keys[0]: ("done", "")}
    assert world.remote().keys() - before == {keys[0]}


def post(world, event, body):
    whole = {"event": event, "organization": {"id": PLUM.id}, **body}
    received = Received(
        organisation="plum",
        source="loke",
        event=event,
        entity_id="",
        dedup=json.dumps(whole, sort_keys=True),
        body=json.dumps(whole).encode(),
        received_at=world.ws.clock(),
    )
    return world.ws.ledger.inbox.append([received])[0].number


def test_a_parked_event_is_drained_again_and_others_stay_parked(world):
    numbers = [post(world, "customer.invented", {"customer": {"n": each}}) for each in range(2)]
    world.sync()
    first, second = (f"inbox:{number}" for number in numbers)
    before = {each.reject.key: each.rejected_at for each in world.rejects}
    report = world.retry(first)
    assert endings(report) == {first: ("refused", "unknown_event")}
    assert world.ws.ledger.inbox.states(numbers) == dict.fromkeys(numbers, "failed")
    after = {each.reject.key: each.rejected_at for each in world.rejects}
    assert after[first] > before[first]
    assert after[second] == before[second]


def test_a_record_that_came_without_an_id_is_forgotten_once_the_source_is_read_without_it(world):
    row = {"firstName": "No", "lastName": "Id"}
    body = json.dumps([row])
    page = FaultRule(kind="status", status=200, path="/customers", body=body, times=1)
    world.sandbox.loke.faults.add(page)
    world.sync()
    assert "record_without_id" in {each.reject.reason for each in world.rejects}
    report = world.retry(reason="record_without_id")
    assert (report.staying, report.errors) == (0, [])
    assert len(world.remote()) == PLUM.customers
    assert world.rejects == []


def test_a_reject_is_struck_off_with_who_and_why_and_no_data_is_removed(world):
    fault = FaultRule(kind="status", status=422, method="POST", path="/contacts", times=1)
    world.sandbox.crm_com.faults.add(fault)
    world.sync()
    chosen = [each for each in world.rejects if each.reject.dataset == "contact"]
    number = discard(world.ws, "plum", chosen, by="mina", why="  test  account ")
    assert number == 1
    entry = world.ws.ledger.audit.newest("plum", 1)[0]
    assert (entry.who, entry.what) == ("mina", "reject_discarded")
    key = chosen[0].reject.key
    assert (entry.details["key_digest"], entry.details["why"]) == (key_digest(key), "test account")
    assert key not in str(entry)
    assert world.ws.ledger.audit.verify(INSTALLATION) is None
    report = world.sync(is_full=True)
    assert report.applied["crm_com"].counts["applied"] == 1


@pytest.mark.parametrize(
    "why", ["", "  ", "asked by mina@example.com", "+61 400 000 000", "x" * 201]
)
def test_a_reason_that_could_name_a_person_is_refused(world, why):
    with pytest.raises(ConfigurationError, match="Nothing was changed"):
        discard(world.ws, "plum", [], by="mina", why=why)


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ((), {}),
        (("loke:1",), {}),
        (("loke:1",), {"is_all": True}),
        ((), {"reason": "x", "is_all": True}),
    ],
)
def test_which_rejects_are_meant_has_to_be_said_in_one_way(world, keys, how):
    with pytest.raises(ConfigurationError, match="Nothing was done"):
        choose(world.rejects, keys, **how)
