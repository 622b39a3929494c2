"""What CRM.COM's clients can call, under ``/backoffice/v2``.

Here: keys, endpoints, answers. Not here: state (``vendor``), rules of contacts (``contacts``).
"""

from typing import Any

import msgspec

from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.crm_com.admin import CrmComAdmin
from crm_pipeline.sandbox.crm_com.contacts import Contact, shown
from crm_pipeline.sandbox.crm_com.failures import (
    FORBIDDEN,
    INTERNAL,
    NOT_FOUND,
    UNAUTHORISED,
    RefusedError,
    invalid,
)
from crm_pipeline.sandbox.crm_com.order_calls import OrderCalls
from crm_pipeline.sandbox.crm_com.product_calls import ProductCalls
from crm_pipeline.sandbox.crm_com.purchase_calls import PurchaseCalls
from crm_pipeline.sandbox.crm_com.search import page_of_list, paged, read_wish, search
from crm_pipeline.sandbox.crm_com.vendor import CrmCom, Handler, Key
from crm_pipeline.sandbox.crm_com.wallet_calls import WalletCalls
from crm_pipeline.sandbox.wire import Answer, Request, Route, json_answer

PREFIX = "/backoffice/v2"
_PREFIX_PARTS = ["backoffice", "v2"]
#: The one call of the contact's own API that matters to a till.
_RECLAIM = ["self-service", "v2", "purchases", "reclaim"]


class CrmComRoutes:
    """The endpoints over one fake CRM.COM."""

    prefix = PREFIX

    def __init__(self, crm_com: CrmCom) -> None:
        """Answer from ``crm_com``."""
        self._crm_com = crm_com
        self._admin = CrmComAdmin(crm_com)
        self.lock = crm_com.lock
        self.faults = crm_com.faults
        self.requests = crm_com.requests
        self.clock = crm_com.clock
        #: Handlers by path template, then method.
        self._table: dict[str, dict[str, Handler]] = {
            "/contacts": {"GET": self._list_contacts, "POST": self._create_contact},
            "/contacts/{id}": {"GET": self._read_contact, "PUT": self._update_contact},
            "/contacts/{id}/tags": {"GET": self._read_tags, "PUT": self._write_tags},
            "/tags": {"GET": self._list_tags},
            "/custom_fields": {"GET": self._list_custom_fields},
            **OrderCalls(crm_com).table,
            **ProductCalls(crm_com).table,
            **PurchaseCalls(crm_com).table,
            **WalletCalls(crm_com).table,
        }

    @property
    def gzip(self) -> bool:
        """Say whether answers are compressed for those who ask."""
        return self._crm_com.switches.gzip

    def route(self, request: Request) -> Route:
        """Find the endpoint and the key of a call."""
        parts = request.segments
        template = self._template(parts)
        text = request.header(b"api_key")
        key = self._crm_com.keys.get(text)
        methods = self._table.get(template, {})

        def answer(request: Request) -> Answer:
            try:
                return self._checked(request, template, methods, key)
            except RefusedError as error:
                return error.answer()

        if key is None:
            return Route(template, answer)
        names = (key.organisation.slug, key.organisation.id, text)
        return Route(template, answer, names, key.name)

    def page_of(self, request: Request) -> int:
        """Return the page asked for."""
        page = request.query.get("page", "1")
        return int(page) if page.isdecimal() else 1

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Move contacts of the key that reads them."""
        self._crm_com.disturb(names, rule)

    def make_stale(self, request: Request) -> None:
        """Do nothing to the key, which is no token: this one call goes without it."""
        request.headers.pop(b"api_key", None)

    def failure(self, status: int) -> Answer:
        """Answer an injected failure."""
        return RefusedError(status, "Injected by the sandbox.", INTERNAL, []).answer()

    def administer(self, request: Request) -> Answer:
        """Answer an admin call."""
        return self._admin.answer(request)

    def _template(self, parts: list[str]) -> str:
        if parts[:2] != _PREFIX_PARTS:
            return "/self-service/purchases/reclaim" if parts == _RECLAIM else "unknown"
        names = parts[2:]
        if names[:1] == ["customers"]:
            names = ["contacts", *names[1:]]
        if len(names) > 1 and "/".join(["", *names]) not in self._table:
            names = [names[0], "{id}", *names[2:]]
        return "/" + "/".join(names)

    def _checked(
        self, request: Request, template: str, methods: dict[str, Handler], key: Key | None
    ) -> Answer:
        if key is None or not request.header(b"api_key"):
            raise RefusedError(401, "The API key is missing or unknown.", UNAUTHORISED, [])
        if not methods:
            raise RefusedError(404, "No such resource.", NOT_FOUND, [request.path])
        handler = methods.get(request.method)
        if handler is None:
            raise RefusedError(405, "Method not allowed.", NOT_FOUND, [request.method])
        if request.method != "GET" and not key.may_write:
            raise RefusedError(403, "The API key may not write.", FORBIDDEN, [])
        return handler(request, key)

    def _contact(self, request: Request, key: Key) -> Contact:
        return self._crm_com.contact_of(key, request.segments[3])

    def _list_contacts(self, request: Request, key: Key) -> Answer:
        wish = read_wish(request.query)
        rows, total = search(key.contacts, request.query, wish)
        with_wallet = request.query.get("include_wallet", "").lower() == "true"
        body = [shown(contact, with_wallet=with_wallet) for contact in rows]
        return json_answer(paged(body, total, wish))

    def _create_contact(self, request: Request, key: Key) -> Answer:
        changes = self._crm_com.read_changes(request.body)
        now = self._crm_com.now_seconds()
        return json_answer({"id": key.contacts.create(changes, now_seconds=now)})

    def _read_contact(self, request: Request, key: Key) -> Answer:
        return json_answer(shown(self._contact(request, key), with_wallet=True))

    def _update_contact(self, request: Request, key: Key) -> Answer:
        contact = self._contact(request, key)
        changes = self._crm_com.read_changes(request.body)
        key.contacts.update(contact, changes, now_seconds=self._crm_com.now_seconds())
        return json_answer({"id": contact["id"]})

    def _read_tags(self, request: Request, key: Key) -> Answer:
        contact, names = self._contact(request, key), self._crm_com.tags
        content = [{"id": each, "name": names[each]} for each in contact["tags"] if each in names]
        return json_answer({"content": content})

    def _write_tags(self, request: Request, key: Key) -> Answer:
        contact = self._contact(request, key)
        wanted = _tag_ids(request.body)
        for tag_id in wanted:
            if tag_id not in self._crm_com.tags:
                raise invalid("tags", f"Unknown tag {tag_id}.")
        before = contact["tags"] if self._crm_com.switches.tags_mode == "add" else []
        contact["tags"] = list(dict.fromkeys([*before, *wanted]))
        return json_answer({"id": contact["id"]})

    def _list_tags(self, request: Request, _: Key) -> Answer:
        rows = [
            {
                "id": tag_id,
                "name": name,
                "description": "",
                "colour": "#0000FF",
                "entity": "CONTACTS",
                "state": "ACTIVE",
            }
            for tag_id, name in self._crm_com.tags.items()
            if _is_about_contacts(request)
        ]
        return json_answer(page_of_list(rows, read_wish(request.query)))

    def _list_custom_fields(self, request: Request, _: Key) -> Answer:
        rows = [
            {"key": key, "label": key, "entity": "CONTACTS", "type": "STRING"}
            for key in self._crm_com.custom_fields
            if _is_about_contacts(request)
        ]
        return json_answer(page_of_list(rows, read_wish(request.query)))


def _is_about_contacts(request: Request) -> bool:
    return request.query.get("entity", "CONTACTS").upper() in ("CONTACTS", "CONTACT", "CUSTOMERS")


def _tag_ids(raw: bytes) -> list[str]:
    try:
        body: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
        return msgspec.convert(body["tags"] or [], list[str])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise invalid("tags") from error
