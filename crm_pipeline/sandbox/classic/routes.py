"""What the classic generation's clients can call, under ``/crmapi/rest/v2``.

Here: tokens, methods, field sets, paging. Not here: state (``vendor``), rules of events.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from crm_pipeline.sandbox.classic.admin import ClassicAdmin
from crm_pipeline.sandbox.classic.envelope import (
    ACCESS_DENIED,
    INTERNAL,
    INVALID,
    INVALID_TOKEN,
    LOGIN_FAILED,
    MANDATORY,
    METHOD_UNKNOWN,
    NOT_FOUND,
    Data,
    RefusedError,
    needed,
    ok,
    one_key,
    read_body,
)
from crm_pipeline.sandbox.classic.events import Purchase, award_of
from crm_pipeline.sandbox.classic.participants import PARTICIPANT
from crm_pipeline.sandbox.classic.sales import read_entries, read_moment, read_sale, read_unit
from crm_pipeline.sandbox.classic.vendor import DEFINITION, PASSWORD, USER_NAME, Books, Classic
from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.wire import Answer, Request, Route

PREFIX = "/crmapi/rest/v2"

_MOST_ENTRIES = 1000
_READING = frozenset({"show", "list", "preview"})

Method = Callable[[Data, Books], Any]


class ClassicRoutes:
    """The methods over one fake classic CRM.COM."""

    prefix = PREFIX

    def __init__(self, classic: Classic) -> None:
        """Answer from ``classic``."""
        self._classic = classic
        self._admin = ClassicAdmin(classic)
        self.lock = classic.lock
        self.faults = classic.faults
        self.requests = classic.requests
        self.clock = classic.clock
        self._logins: dict[str, Callable[[Request, Data], Any]] = {
            "authentication/token": self._log_in,
            "authentication/web_api_key/token": self._log_in_with_key,
        }
        self._methods: dict[str, tuple[str, Method]] = {
            "authentication/token/release": ("POST", self._release),
            "rewards_participants/show": ("POST", self._show_participant),
            "rewards_participants/list": ("POST", self._list_participants),
            "customer_events/purchases/preview": ("POST", self._preview),
            "customer_events/purchases/create": ("POST", self._create),
            "customer_events/purchases/list": ("POST", self._list_purchases),
            "customer_events/purchases/show": ("GET", self._show_purchase),
            "customer_events/purchases/cancel": ("POST", self._cancel),
            "customer_events/bulk/purchases/create": ("POST", self._create_many),
            "customer_events/spend_requests/create": ("POST", self._spend),
            "reward_transactions/awards/list": ("POST", self._list_awards),
            "products/synchronise": ("POST", self._synchronise),
        }

    @property
    def gzip(self) -> bool:
        """Say whether answers are compressed for those who ask."""
        return self._classic.switches.gzip

    def route(self, request: Request) -> Route:
        """Find the method of a call; whose it is, its token tells."""
        name = request.path.removeprefix(PREFIX).strip("/")
        is_known = name in self._methods or name in self._logins

        def answer(request: Request) -> Answer:
            try:
                return ok(self._answer(name, request))
            except RefusedError as error:
                return error.answer()

        return Route(f"/{name}" if is_known else "unknown", answer, *self._caller(request))

    def page_of(self, request: Request) -> int:
        """Return the page that offset and number of results come to."""
        try:
            body = read_body(request.body)
        except RefusedError:
            return 1
        rows, offset = body.get("number_of_results"), body.get("offset", 0)
        is_paged = isinstance(rows, int) and isinstance(offset, int) and rows > 0
        return 1 + offset // rows if is_paged else 1

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Do nothing: purchases do not move by themselves."""
        self._classic.disturb(names, rule)

    def make_stale(self, request: Request) -> None:
        """End the token that the call carries."""
        self._classic.tokens.release(str(_token(request)))

    def failure(self, status: int) -> Answer:
        """Answer an injected failure."""
        code = INVALID_TOKEN if status == 401 else INTERNAL
        return RefusedError(code, "Injected by the sandbox.", status=status).answer()

    def administer(self, request: Request) -> Answer:
        """Answer an admin call."""
        return self._admin.answer(request)

    # -- the way of a call -----------------------------------------------------------------------

    def _caller(self, request: Request) -> tuple[tuple[str, ...], str]:
        try:
            book = self._classic.books[self._classic.tokens.peek(_token(request))]
        except KeyError:
            return (), ""
        return (book.organisation.slug, book.organisation.id), book.name

    def _answer(self, name: str, request: Request) -> Any:
        if name in self._logins:
            return self._logins[name](request, read_body(request.body))
        book = self._classic.books[self._classic.tokens.opens(_token(request))]
        method, run = self._methods.get(name, ("", None))
        if run is None or method != request.method:
            raise RefusedError(METHOD_UNKNOWN, name, status=404 if run is None else 405)
        is_reading = name.rpartition("/")[2] in _READING
        if not (book.may_write or is_reading or name == "authentication/token/release"):
            raise RefusedError(ACCESS_DENIED, "The key may only read.", status=403)
        body = _from_query(request.query) if method == "GET" else read_body(request.body)
        return _with_fields(run(body, book), body.get("fields_set"))

    # -- tokens ----------------------------------------------------------------------------------

    def _log_in(self, _: Request, body: Data) -> Data:
        given = {name: needed(body, name) for name in ("username", "password", "organisation")}
        try:
            book = self._classic.book(str(given["organisation"]))
        except KeyError:
            raise RefusedError(LOGIN_FAILED, "organisation", status=401) from None
        if (given["username"], given["password"]) != (USER_NAME, PASSWORD):
            raise RefusedError(LOGIN_FAILED, "username or password", status=401)
        return self._token_for(book.organisation.crm_test_key, USER_NAME, body)

    def _log_in_with_key(self, request: Request, body: Data) -> Data:
        key = _basic_user(request.header(b"authorization"))
        if key not in self._classic.books:
            raise RefusedError(LOGIN_FAILED, "The web API key is unknown.", status=401)
        return self._token_for(key, "web_api_key", body)

    def _token_for(self, key: str, user: str, body: Data) -> Data:
        unit = body.get("unit") or next(iter(self._classic.units))
        if unit not in self._classic.units and unit not in self._classic.units.values():
            raise RefusedError(LOGIN_FAILED, "unit")
        organisation = self._classic.books[key].organisation.slug
        mode = self._classic.switches.tokens
        token = self._classic.tokens.issue(
            key, user=user, organisation=organisation, unit=unit, mode=mode
        )
        return {"token": token}

    def _release(self, body: Data, _: Books) -> None:
        self._classic.tokens.release(str(body["token"]))

    # -- participants ----------------------------------------------------------------------------

    def _show_participant(self, body: Data, book: Books) -> Data:
        return book.participants.identified(body, PARTICIPANT).shown()

    def _list_participants(self, body: Data, book: Books) -> Data:
        return self._page(body, "rewards_participants_set", [e.shown() for e in book.participants])

    def _list_awards(self, body: Data, book: Books) -> Data:
        rows = [
            award
            for each in book.events.listed(body)
            for award in each.data["award_reward_transactions_set"]
        ]
        return self._page(body, "award_reward_transactions_set", rows)

    # -- purchases -------------------------------------------------------------------------------

    def _preview(self, body: Data, book: Books) -> Data:
        owner, sale = book.events.owner(body), self._sale(body, book)
        most = min(owner.wallet, sale["total_amount"])
        return {
            "total_award_amount": award_of(sale, self._classic.switches.award_share),
            "total_instant_spend_amount": 0,
            "total_automatic_spend_amount": 0,
            "total_additional_spend_amount": most,
            "minimum_spend_amount_per_transaction": 0,
            "maximum_spend_amount_per_transaction": most,
            "reduction_method": self._classic.switches.reduction_method,
            "rewards_participant_id": owner.id,
            "rewards_participant_name": owner.name,
            "wallet_balance": owner.wallet,
            "allow_spending": most > 0,
            "voucher_types_set": [],
        }

    def _create(self, body: Data, book: Books) -> Data:
        return self._posted(body, book).shown()

    def _create_many(self, body: Data, book: Books) -> Data:
        entries = read_entries(body, "purchase_customer_events_set", _MOST_ENTRIES)
        names = [each.get("request_unique_identifier") for each in entries]
        if None in names or len(set(map(str, names))) != len(names):
            raise RefusedError(INVALID, "request_unique_identifier must be there and unique")
        done: list[Data] = []
        undone: list[Data] = []
        for name, entry in zip(names, entries, strict=True):
            told = {"request_unique_identifier": name}
            try:
                made = self._posted(entry, book).data
                done.append({**told, "id": made["id"], "number": made["number"]})
            except RefusedError as error:
                undone.append(
                    {**told, "error_code": error.code, "error_description": error.description}
                )
        return {"processed_customer_events_set": done, "unprocessed_customer_events_set": undone}

    def _list_purchases(self, body: Data, book: Books) -> Data:
        rows = [each.shown() for each in book.events.listed(body)]
        return self._page(body, "purchases_set", rows)

    def _show_purchase(self, body: Data, book: Books) -> Data:
        return book.events.named(body.get("customer_event_identifier")).shown()

    def _cancel(self, body: Data, book: Books) -> Data:
        return book.events.cancel(body.get("customer_event_identifier")).shown()

    def _spend(self, body: Data, book: Books) -> Data:
        read_unit(body, self._classic.units)
        spend = book.events.spend(body, read_moment(body))
        return {**spend, "reduction_method": self._classic.switches.reduction_method}

    def _synchronise(self, body: Data, book: Books) -> Data:
        member = "synchronisation_definition_identifier"
        if one_key(needed(body, member), member, ("id", "code", "name"))[1] != DEFINITION:
            raise RefusedError(NOT_FOUND, member)
        rows = read_entries(body, "products_set", _MOST_ENTRIES)
        return book.products.synchronise(rows, may_update=self._classic.switches.enforce_update)

    def _posted(self, body: Data, book: Books) -> Purchase:
        switches = self._classic.switches
        return book.events.create(
            self._sale(body, book),
            book.events.owner(body),
            award_share=switches.award_share,
            may_repeat=switches.duplicate_reference == "accept",
        )

    def _sale(self, body: Data, book: Books) -> Data:
        currency, units = book.organisation.currency, self._classic.units
        return read_sale(body, units=units, currency=currency, products=book.products)

    def _page(self, body: Data, member: str, rows: list[Data]) -> Data:
        switches = self._classic.switches
        number = _count(body, "number_of_results", switches.default_rows)
        offset = _count(body, "offset", 0)
        return {member: rows[offset : offset + min(number, switches.most_rows)]}


def _count(body: Data, name: str, default: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RefusedError(INVALID, name)
    return value


def _token(request: Request) -> object:
    """Return the token of a call: a member of the body, or of the query when reading."""
    if request.method == "GET":
        return request.query.get("token")
    try:
        return read_body(request.body).get("token")
    except RefusedError:
        return None


def _from_query(query: Mapping[str, str]) -> Data:
    """Return a query as a body; identifiers are written ``name=key=value`` there."""
    body: Data = dict(query)
    for name, value in query.items():
        if name.endswith("_identifier"):
            key, _, held = value.partition("=")
            body[name] = {key: held}
    return body


def _basic_user(header: str) -> str:
    """Return the user name of HTTP Basic; a password must not be there."""
    kind, _, value = header.partition(" ")
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    user, _, password = text.partition(":")
    if kind.lower() != "basic" or password:
        return ""
    return user


def _with_fields(data: Any, fields_set: Any) -> Any:
    """Keep the named members of an object, or of each row when the object is one list."""
    if fields_set is None or not isinstance(data, dict):
        return data
    if not isinstance(fields_set, str):
        raise RefusedError(MANDATORY, "fields_set")
    names = {name.strip() for name in fields_set.split(",")}
    lists = [name for name, value in data.items() if isinstance(value, list)]
    if len(data) == len(lists) == 1:
        rows = [{name: row[name] for name in row if name in names} for row in data[lists[0]]]
        return {lists[0]: rows}
    return {name: value for name, value in data.items() if name in names}
