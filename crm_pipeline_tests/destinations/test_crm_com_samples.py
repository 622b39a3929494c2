"""A sample order becomes a contact at CRM.COM, from the inbox to the fake vendor and back."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from crm_pipeline.core.records import Finding
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.sopost.brands import SKIN_QUESTION
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Received
from crm_pipeline.sync.run import SyncReport, sync_organisation
from crm_pipeline.sync.verify import verify
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.destinations.conftest import make_change

SLUG = "test-cafe"
ORGANISATION = SandboxOrganisation(
    id="01HTEST0RGAN1SAT10N0000002", name="Test Cafe", slug=SLUG, customers=4
)
KEY = ORGANISATION.crm_test_key
PARIS = {
    "line_1": "5 Rue Kennedy",
    "line_2": "Flat 2",
    "town": "Paris",
    "district": "Ile-de-France",
    "territory": "FRA",
    "postcode": "75001",
}
LYON = {"line_1": "1 Place Bellecour", "town": "Lyon", "territory": "FRA", "postcode": "69002"}
AT_PARIS = {
    "type": "HOME",
    "is_primary": True,
    "address_line_1": "5 Rue Kennedy",
    "address_line_2": "Flat 2",
    "town_city": "Paris",
    "state_province_county": "Ile-de-France",
    "postal_code": "75001",
    "country_code": "FRA",
}
AT_LYON = {
    **AT_PARIS,
    "address_line_1": "1 Place Bellecour",
    "address_line_2": None,
    "town_city": "Lyon",
    "state_province_county": None,
    "postal_code": "69002",
}
#: A person whom LOKE does not know.
ASHA = {
    "full_name": "Asha van der Berg",
    "email": "asha@example.com",
    "telephone": "+33140000000",
    "identity": "p-asha",
    "address": PARIS,
}


@dataclass
class House:
    """One organisation that reads LOKE and SoPost, as its file says."""

    folder: Path
    sandbox: Sandbox
    runtime: Runtime = field(init=False)
    opened: list[Runtime] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        (self.folder / "organisations").mkdir()
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Write the file anew, parts of it replaced, and read it."""
        path = self.folder / "organisations" / f"{SLUG}.yaml"
        path.write_text(yaml.safe_dump({**self.document(), **changes}))
        environ = {
            "CRM_PIPELINE_CONFIG": str(path.parent),
            "CRM_PIPELINE_HOME": str(self.folder / "home"),
            "CRM_PIPELINE_TEST": "1",
            "CRM_PIPELINE_SETTLE_MS": "0",
            "CRM_KEY": KEY,
            "LOKE_ID": self.sandbox.settings.client_id,
            "LOKE_SECRET": self.sandbox.settings.client_secret,
            "SOPOST_USER": self.sandbox.settings.sopost_user_id,
            "SOPOST_PASSWORD": self.sandbox.settings.sopost_password,
        }
        self.runtime = Runtime(load_settings(environ))
        self.opened.append(self.runtime)

    def crm_com(self, **changes: Any) -> dict[str, Any]:
        """Return the destinations with parts of the one replaced."""
        return {"crm_com": {**self.document()["destinations"]["crm_com"], **changes}}

    def document(self) -> dict[str, Any]:
        brand = self.sandbox.sopost.brand(SLUG)
        consent = {"consent_id": brand.newsletter_id, "data_handler": brand.data_handler}
        return {
            "name": "Test Cafe",
            "sources": {
                "loke": {
                    "base_url": self.sandbox.loke_url,
                    "token_url": self.sandbox.token_url,
                    "organisation_id": ORGANISATION.id,
                    "client_id": {"env": "LOKE_ID"},
                    "client_secret": {"env": "LOKE_SECRET"},
                },
                "sopost": {
                    "base_url": self.sandbox.sopost_url,
                    "entity_type": "Organisation",
                    "entity_id": brand.id,
                    "user_id": {"env": "SOPOST_USER"},
                    "password": {"env": "SOPOST_PASSWORD"},
                    "datasets": ["orders"],
                },
            },
            "samples": {
                "consents": [{**consent, "channels": ["email", "sms"]}],
                "questions": {SKIN_QUESTION: "sopost_skin_type"},
            },
            "destinations": {
                "crm_com": {
                    "base_url": self.sandbox.crm_com_url,
                    "api_key": {"env": "CRM_KEY"},
                    "limits": {"calls_per_second": 1000, "concurrency": 2},
                }
            },
        }

    def tell(self, order_id: str) -> None:
        """Put the webhook of an order into the inbox, as the receiver does."""
        body = json.dumps({"id": order_id, "number": (number := next(self.numbers))})
        event = Received(
            organisation=SLUG,
            source="sopost",
            event="order",
            entity_id=order_id,
            dedup=f"{number}",
            body=body.encode(),
            received_at=self.runtime.clock(),
        )
        self.runtime.ledger.inbox.append([event])

    def sync(self, *, is_full: bool = False) -> SyncReport:
        """Sync once; what CRM.COM was asked before is forgotten."""
        self.sandbox.crm_com.requests.clear()
        organisation = self.runtime.organisation(SLUG)
        report = sync_organisation(self.runtime.workspace, organisation, is_full=is_full)
        assert report.errors == []
        return report

    def writes(self) -> tuple[int, int]:
        """Count creations and updates since the last sync began."""
        log = self.sandbox.crm_com.requests
        return log.count("POST"), log.count("PUT")

    def contact(self, code: str) -> dict[str, Any]:
        """Return what CRM.COM shows of a contact."""
        found = self.sandbox.crm_com.contact(KEY, code)
        assert found is not None
        return found

    def doctor(self) -> Sequence[Finding]:
        """Ask what `doctor` asks of CRM.COM."""
        with closing(self.runtime.organisation(SLUG).destinations["crm_com"].connect()) as api:
            return api.check()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION,))) as sandbox:
        made = House(tmp_path, sandbox)
        made.runtime.migrate_ledger()
        yield made
        for runtime in made.opened:
            runtime.close()


def ordered(house: House, **changes: Any) -> str:
    """Let Asha order, have it approved, and tell us."""
    order_id = house.sandbox.sopost.place(
        SLUG, consents="newsletter", answers="one", fields={**ASHA, **changes}, is_told=False
    )
    house.sandbox.sopost.move(order_id, "APPROVED", is_told=False)
    house.tell(order_id)
    return order_id


def customs(contact: Mapping[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in contact["custom_fields"]}


def address(contact: Mapping[str, Any]) -> dict[str, Any]:
    return {name: contact["address"][name] for name in AT_PARIS}


def test_an_order_with_address_answers_and_consent_becomes_a_contact(house: House) -> None:
    order_id = ordered(house)
    house.sync()
    contact = house.contact("sopost:p-asha")
    assert (contact["first_name"], contact["last_name"]) == ("Asha", "van der Berg")
    assert contact["email"] == "asha@example.com"
    assert contact["phone"]["country_code"] == "FRA"
    assert address(contact) == AT_PARIS
    assert (contact["email_opt_out"], contact["sms_opt_out"]) == (False, False)
    activity = house.sandbox.sopost.order(order_id).activity_id
    assert customs(contact) == {
        "sopost_identity": "p-asha",
        "sopost_last_order_id": order_id,
        "sopost_last_order_status": "APPROVED",
        "sopost_last_activity_id": activity,
        "sopost_skin_type": customs(contact)["sopost_skin_type"],
    }
    assert customs(contact)["sopost_skin_type"] in {"Dry", "Oily"}


@pytest.mark.parametrize("is_full", [False, True])
def test_a_second_sync_changes_nothing(house: House, is_full: bool) -> None:
    order_id = ordered(house)
    house.sync()
    house.tell(order_id)
    assert house.sync(is_full=is_full).changes == 0
    assert house.writes() == (0, 0)


def test_whoever_moved_gets_another_address_and_nothing_else(house: House) -> None:
    order_id = ordered(house)
    house.sync()
    before = house.contact("sopost:p-asha")
    house.sandbox.sopost.change(order_id, {"address": LYON})
    house.tell(order_id)
    assert house.sync().changes == 1
    assert house.writes() == (0, 1)
    after = house.contact("sopost:p-asha")
    assert address(after) == AT_LYON
    assert {name for name in before if before[name] != after[name]} == {"address"}


def test_an_order_of_a_customer_adds_to_the_customer(house: House) -> None:
    customer = next(
        each for each in house.sandbox.loke.customers(ORGANISATION.id) if "email" in each
    )
    house.sync()
    before = house.contact(f"loke:{customer['id']}")
    ordered(house, email=customer["email"].upper())
    assert house.sync().changes == 1
    after = house.contact(f"loke:{customer['id']}")
    assert address(after) == AT_PARIS
    assert customs(before).items() <= customs(after).items()
    for name in ("first_name", "last_name", "email", "phone"):
        assert after[name] == before[name]


def test_what_was_written_is_found_again_whoever_it_came_from(house: House) -> None:
    ordered(house)
    house.sync()
    organisation = house.runtime.organisation(SLUG)
    binding = organisation.destinations["crm_com"]
    with closing(binding.connect()) as api:
        report = verify(house.runtime.workspace, SLUG, binding, api)
        assert (report.checked, report.changed, report.missing, report.foreign) == (5, 0, 0, 0)
        moved = [house.contact("sopost:p-asha")["id"]]
        house.sandbox.crm_com.mutate(KEY, ids=moved, fields={"address": {"town_city": "Nice"}})
        report = verify(house.runtime.workspace, SLUG, binding, api)
    assert report.changed == 1
    assert report.fields.keys() == {
        "address_line_1",
        "address_line_2",
        "town_city",
        "state_province_county",
        "postal_code",
        "address_country",
    }


def test_a_linking_organisation_never_takes_over_whom_only_samples_know(house: House) -> None:
    house.configure(destinations=house.crm_com(conflict="link"))
    asha = {"first_name": "Asha", "last_name": "Berg", "email": "asha@example.com"}
    with closing(house.runtime.organisation(SLUG).destinations["crm_com"].connect()) as api:
        for key in ("sopost:p-asha", "loke:A"):
            (result,) = api.write([make_change(key=key, after=asha)])
            assert result.status == "acked"
    assert house.contact("sopost:p-asha")["email"] == "asha@example.com"
    assert house.contact("loke:A")["email"] is None


def test_the_doctor_asks_for_the_custom_fields_of_this_organisation_alone(house: House) -> None:
    assert [each.message for each in house.doctor() if "custom" in each.check] == [
        "All 15 custom fields of contacts exist."
    ]
    house.configure(
        mapping={"custom.vip_level": {"from": "extra.vipLevel"}},
        samples={"questions": {"q-1": "pet"}},
    )
    missing = [each.check for each in house.doctor() if not each.is_ok]
    assert missing == ["custom_field pet", "custom_field vip_level"]
    loke = {**house.document()["sources"]["loke"], "datasets": ["customers", "payments"]}
    house.configure(sources={"loke": loke})
    house.sandbox.crm_com.configure_custom_fields([])
    missing = [each.check for each in house.doctor() if not each.is_ok]
    assert len(missing) == 10
    assert all(each.startswith("custom_field loke_") for each in missing)
    house.configure(sources={"loke": loke}, destinations=house.crm_com(sends=["products"]))
    assert all(each.is_ok for each in house.doctor())


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("address_country", True),
        ("custom.sopost_identity", True),
        ("custom.pet", True),
        ("custom.vip_level", True),
        ("custom.cat", False),
        ("pet", False),
    ],
)
def test_a_policy_may_be_about_every_field_that_is_written_and_no_other(
    house: House, name: str, is_known: bool
) -> None:
    house.configure(
        destinations=house.crm_com(field_policies={name: "if-ours"}),
        mapping={"custom.vip_level": {"from": "extra.vipLevel"}},
        samples={"questions": {"q-1": "pet"}},
    )
    problems = [each.field for found in house.runtime.broken.values() for each in found]
    assert problems == ([] if is_known else [f"destinations.crm_com.field_policies.{name}"])
