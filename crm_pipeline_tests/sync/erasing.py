"""A canary: one person who goes through everything, and a search of every file for them."""

import base64
import hashlib
import io
import itertools
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import yaml

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Received
from crm_pipeline.wiring import Runtime

ORGANISATION = SandboxOrganisation(
    id="01HERASE0RGAN1SAT10N000001", name="Corner Shop", slug="corner-shop", customers=12
)
SLUG = ORGANISATION.slug
LISTS = {"LST-LOYAL": "Loyal Customers", "LST-VIP": "VIP breakfast"}
CANARY = "01HCANARYCUST0MER000000001"
KEY = f"loke:{CANARY}"
EMAILS = ("Zebulon.Quxfirth@Canary-One.example", "zq.second@canary-two.example")
PHONES = ("+61491570156", "+61491570157")
#: What must not be found anywhere.
NAMES = ("Zebulon", "Quxfirth-Wobblesworth")
STREET = "17 Quillfeather Mews"
SHARED = "family@canary-family.example"


@dataclass
class World:
    """One installation with every store in use, and the vendors."""

    folder: Path
    sandbox: Sandbox
    order_ids: list[str] = field(default_factory=list)
    payment_ids: list[str] = field(default_factory=list)
    crm_ids: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environ(self) -> dict[str, str]:
        settings = self.sandbox.settings
        return {
            "CRM_PIPELINE_HOME": str(self.home),
            "CRM_PIPELINE_CONFIG": str(self.folder / "organisations"),
            "CRM_PIPELINE_TEST": "1",
            "CRM_PIPELINE_RETRY_BASE_MS": "10",
            "CRM_PIPELINE_RETRY_MAX_MS": "50",
            "CRM_PIPELINE_SETTLE_MS": "0",
            "CRM_PIPELINE_OVERLAP_S": "5",
            "LOKE_CLIENT_ID": settings.client_id,
            "LOKE_CLIENT_SECRET": settings.client_secret,
            "SOPOST_USER_ID": settings.sopost_user_id,
            "SOPOST_PASSWORD": settings.sopost_password,
            "CRM_KEY": ORGANISATION.crm_test_key,
        }

    def install(self) -> None:
        sandbox, brand = self.sandbox, self.sandbox.sopost.brand(SLUG)
        for list_id, name in LISTS.items():
            sandbox.loke.create_list(ORGANISATION.id, name, list_id=list_id)
        sandbox.crm_com.configure_tags([f"LOKE: {name}" for name in LISTS.values()])
        document = {
            "slug": SLUG,
            "name": ORGANISATION.name,
            "sources": {
                "loke": {
                    "base_url": sandbox.loke_url,
                    "token_url": sandbox.token_url,
                    "organisation_id": ORGANISATION.id,
                    "client_id": {"env": "LOKE_CLIENT_ID"},
                    "client_secret": {"env": "LOKE_CLIENT_SECRET"},
                    "datasets": ["customers", "payments", "list_members"],
                },
                "sopost": {
                    "base_url": sandbox.sopost_url,
                    "entity_type": "Organisation",
                    "entity_id": brand.id,
                    "user_id": {"env": "SOPOST_USER_ID"},
                    "password": {"env": "SOPOST_PASSWORD"},
                    "datasets": ["orders"],
                },
            },
            "destinations": {
                "crm_com": {
                    "base_url": sandbox.crm_com_url,
                    "api_key": {"env": "CRM_KEY"},
                    "sends": ["contacts", "memberships", "products", "purchases"],
                    "limits": {"calls_per_second": 1000, "concurrency": 2},
                    "guards": {"max_update_share": None, "max_consent_widened": None},
                }
            },
            "purchases": {"go_live": "2015-01-01T00:00:00Z"},
            "lists": [
                {"id": list_id, "name": name, "tag": f"LOKE: {name}"}
                for list_id, name in LISTS.items()
            ],
            "samples": {
                "consents": [
                    {
                        "consent_id": brand.consents[0]["consent_id"],
                        "data_handler": brand.consents[0]["data_handler"],
                        "channels": ["email"],
                    }
                ]
            },
        }
        config = self.folder / "organisations"
        config.mkdir()
        (config / f"{SLUG}.yaml").write_text(yaml.safe_dump(document))

    def run(self, *arguments: str, code: int = 0) -> Any:
        """Run one command in this process; return its JSON document, if it wrote one."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            found = handle_failures(app, arguments, self.environ)
        assert found == code, (found, out.getvalue(), err.getvalue())
        text = out.getvalue()
        return json.loads(text) if "--json" in arguments and text else text

    def sync(self, *options: str, code: int = 0) -> None:
        self.run("sync", "--org", SLUG, *options, code=code)

    def runtime(self) -> Runtime:
        return Runtime(load_settings(self.environ))

    def erase(self, *options: str, code: int = 0) -> Any:
        return self.run("erase", "--org", SLUG, *options, "--json", code=code)

    # -- the canary's life -----------------------------------------------------------------------

    def customer(self, **changes: Any) -> dict[str, Any]:
        return {
            "id": CANARY,
            "firstName": NAMES[0],
            "lastName": NAMES[1],
            "email": EMAILS[0],
            "phoneNumber": PHONES[0],
            "dateOfBirth": "1971-03-09",
            "hasAgreedToMarketing": True,
            **changes,
        }

    def live(self) -> None:
        """Let the canary go through every dataset, store and state."""
        loke, organisation = self.sandbox.loke, ORGANISATION.id
        loke.create_customer(organisation, **self.customer())
        loke.add_members(organisation, "LST-LOYAL", [CANARY])
        self.buy(total=1250)
        refunded = self.buy(total=990)
        self.sync("--full")
        loke.update_customer(organisation, CANARY, fields={"email": EMAILS[1]})
        loke.refund(organisation, refunded)
        self.sync()
        loke.update_customer(organisation, CANARY, fields={"phoneNumber": PHONES[1]})
        self.order_samples()
        self.post("customer.updated", {"customer": self.customer(email=EMAILS[1])})
        self.sync()
        self.sandbox.crm_com.mutate(
            ORGANISATION.crm_test_key, ids=[KEY], fields={"person_name": {"first_name": "Zebulonn"}}
        )
        self.run("verify", "--org", SLUG, code=65)
        self.crm_ids.append((self.contact() or {})["id"])
        # One that is set aside, with its reject, and one that is pending yet.
        self.post("customer.exploded", {"customer": self.customer()})
        self.sync(code=65)
        self.post("customer.updated-statistics", {"customer": self.customer(email=EMAILS[0])})

    def buy(self, total: int) -> str:
        payment = self.sandbox.loke.complete_payment(ORGANISATION.id, customer=CANARY, total=total)
        self.payment_ids.append(payment["id"])
        return payment["id"]

    def order_samples(self, **fields: Any) -> str:
        order_id = self.sandbox.sopost.place(
            SLUG,
            fields={
                "full_name": " ".join(NAMES),
                "email": EMAILS[1],
                "telephone": PHONES[1],
                "identity": "canary-identity-77",
                "address": {"line_1": STREET, "town": "Hobart", "territory": "AUS"},
                **fields,
            },
        )
        self.sandbox.sopost.advance(order_id, "APPROVED")
        self.order_ids.append(order_id)
        self.tell_order(order_id)
        return order_id

    def tell_order(self, order_id: str) -> None:
        self.post("order", {"order_id": order_id, "event": "APPROVED"}, "sopost", order_id)

    def post(
        self, event: str, body: dict[str, Any], source: str = "loke", entity_id: str = ""
    ) -> None:
        """Put one webhook into the inbox as the receiver does, never the same twice."""
        whole = {"event": event, "organization": {"id": ORGANISATION.id}, **body}
        with self.runtime() as runtime:
            received = Received(
                organisation=SLUG,
                source=source,
                event=event,
                entity_id=entity_id or CANARY,
                dedup=f"{event}:{entity_id or CANARY}:{next(self.numbers)}",
                body=json.dumps(whole).encode(),
                received_at=runtime.clock(),
            )
            runtime.ledger.inbox.append([received])

    # -- looking ---------------------------------------------------------------------------------

    def contact(self) -> dict[str, Any] | None:
        return self.sandbox.crm_com.contact(ORGANISATION.crm_test_key, KEY)

    def remote_codes(self) -> set[str]:
        return {each["code"] for each in self.sandbox.crm_com.contacts(ORGANISATION.crm_test_key)}

    def identifiers(self) -> list[str]:
        """Everything that names the canary."""
        return [
            CANARY,
            *EMAILS,
            *PHONES,
            *(phone.removeprefix("+61") for phone in PHONES),
            *NAMES,
            STREET,
            "canary-identity-77",
            *self.payment_ids,
            *self.crm_ids,
            *self.order_ids,
        ]

    def hits(self, values: list[str] | None = None) -> list[str]:
        """Return every place below HOME in which an identifier is found, in any form."""
        needles = {
            form: value for value in values or self.identifiers() for form in forms_of(value)
        }
        found = []
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                content = path.read_bytes() + unpacked(path)
                found += [
                    f"{path.relative_to(self.home)}: {value}"
                    for form, value in needles.items()
                    if form in content or form in path.name.encode()
                ]
        return sorted(set(found))

    def keep_lake(self) -> Path:
        kept = self.folder / "kept-lake"
        shutil.copytree(self.home / "lake", kept)
        return kept

    def restore_lake(self, kept: Path) -> None:
        shutil.rmtree(self.home / "lake")
        shutil.copytree(kept, self.home / "lake")


def unpacked(path: Path) -> bytes:
    """Return the values of a Parquet file; nothing for another one."""
    if path.suffix != ".parquet":
        return b""
    return repr(pq.ParquetFile(path).read().to_pylist()).encode()


def forms_of(value: str) -> set[bytes]:
    """Return a value in every form in which it may be stored."""
    spellings = {value, value.lower(), value.upper(), value.casefold()}
    forms: set[bytes] = set()
    for text in spellings:
        raw = text.encode()
        forms |= {raw, text.encode("utf-16-le"), text.encode("utf-16-be")}
        forms |= {raw.hex().encode(), raw.hex().upper().encode()}
        forms |= {quote(text, safe="").encode(), quote(text).encode()}
        forms.add(hashlib.md5(raw).hexdigest().encode())  # the index digest of media
        for shift in range(3):
            # What stays the same in base64 wherever the text begins within three bytes.
            encoded = base64.b64encode(b"\0" * shift + raw)
            forms.add(encoded[4 if shift else 0 : -4])
    return {form for form in forms if len(form) >= 6}
