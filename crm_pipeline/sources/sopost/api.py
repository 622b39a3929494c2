"""One organisation's live connection to SoPost.

Here: which call reads an order, and the webhooks' subscriptions. Not here: statuses (``calls``),
shapes (``orders``), whose an order is (``entities``).
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

from crm_pipeline.core.ports import DecodedPage, Page, Secret, SourceConnection, Subscription
from crm_pipeline.core.records import Finding
from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    CrmPipelineError,
    DataError,
    TryLaterError,
)
from crm_pipeline.http import Seams
from crm_pipeline.http.origin import path_of
from crm_pipeline.sources.sopost.assumptions import (
    ENTITY_PATHS,
    FORBIDDEN_STATUS,
    ORDERS_PATH,
    ORGANISATIONS_PATH,
    UNKNOWN_STATUSES,
    WEBHOOKS_PATH,
)
from crm_pipeline.sources.sopost.calls import Calls, Row
from crm_pipeline.sources.sopost.entities import Ownership, is_uuid
from crm_pipeline.sources.sopost.orders import ORDERS, decode_order, decode_orders

#: Of the beginning of an address with a host and at least two parts of a path.
_LEAST_SLASHES = 4


class SopostApi:
    """Reads one organisation's orders, one by one. Thread-safe.

    ``entity_type`` and ``entity_id`` of the connection's options say whose orders these are: an
    organisation's, or one campaign's.
    """

    def __init__(self, connection: SourceConnection, *, seams: Seams | None = None) -> None:
        self._entity_type = connection.options.get("entity_type", "")
        self._entity_id = connection.options.get("entity_id", "")
        _check_entity(self._entity_type, self._entity_id)
        self._calls = Calls(connection, seams)
        self._ownership = Ownership(self._calls, self._entity_type, self._entity_id)

    def first_page(self, dataset: str) -> Page:
        """Refuse: SoPost has no call that lists orders. Raises BugError."""
        _check_dataset(dataset)
        _refuse_listing()

    def next_page(self, link: str) -> Page:
        """Refuse: without a list there is no next page. Raises BugError."""
        _refuse_listing()

    def decode(self, dataset: str, page: Page) -> DecodedPage:
        """Turn a JSON list of orders into typed columns."""
        _check_dataset(dataset)
        return decode_orders(page.body)

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        """Read one order by id, or None when SoPost knows no such order of ours.

        Straight after its event an order may not be there yet: None may become an order later, and
        a refusal (403) raises TryLaterError, because it may be a race as well as a missing right.
        An id that is no UUID raises DataError before anything is called.
        """
        _check_dataset(dataset)
        if not is_uuid(source_id):
            raise DataError(
                "An id of an order is not a UUID.",
                not_done="SoPost was not asked.",
                remedy="Look where the id came from: SoPost sends no such ids.",
            )
        answer = self._calls.get(f"{ORDERS_PATH}{path_of(source_id.lower())}")
        if answer.status in UNKNOWN_STATUSES:
            return None
        if answer.status == FORBIDDEN_STATUS:
            raise TryLaterError(
                f"{answer.call}: SoPost does not let us read the order (status 403).",
                not_done="The order was not taken.",
                remedy="Straight after its event this may pass. If it stays, ask SoPost whether"
                " the API user may read the orders of this organisation.",
            )
        if not answer.is_success:
            raise answer.malformed("refuses a documented call")
        decoded = decode_order(answer.body, source_id)
        is_foreign = self._ownership.is_foreign(decoded.rows.column("activity_id")[0].as_py())
        return None if is_foreign else decoded

    def subscriptions(self) -> Sequence[Subscription]:
        """Read what is subscribed, ours and others'; ``ref`` is SoPost's id of each."""
        return [
            Subscription(ref=_text(row, "id"), url=_text(row, "url"), events=_events(row))
            for row in self._calls.rows(WEBHOOKS_PATH)
        ]

    def subscribe(self, ref: str, url: str, events: Sequence[str], secret: Secret | None) -> None:
        """Have events sent to ``url`` once; safe to repeat.

        SoPost signs nothing and names subscriptions itself, so ``secret`` and ``ref`` are not used.
        A POST is no upsert: what is there is looked at first, and only what is missing is made.
        Then every other one of ours is removed: those whose address differs in its last part only
        (the secret of before), doubles, and those of another entity.
        """
        ours = [row for row in self._rows() if _is_beside(_text(row, "url"), url)]
        right = [row for row in ours if self._is_right(row, url, events)]
        if not right:
            self._calls.create(
                WEBHOOKS_PATH,
                {
                    "url": url,
                    "events": list(events),
                    "entity_type": self._entity_type,
                    "entity_id": self._entity_id,
                },
            )
        for row in ours:
            if row not in right[:1]:
                self.unsubscribe(_text(row, "id"))

    def unsubscribe(self, ref: str) -> bool:
        """Remove one subscription by SoPost's id of it; False when there was none."""
        return bool(ref) and self._calls.delete(f"{WEBHOOKS_PATH}{path_of(ref)}")

    def check(self) -> Sequence[Finding]:
        """Prove credentials, sight of our entity, and webhooks, up to the first failure."""
        kind = self._entity_type.lower()
        steps: tuple[tuple[str, str, Callable[[], object]], ...] = (
            (
                "credentials",
                "SoPost accepts our user and password.",
                lambda: self._calls.rows(ORGANISATIONS_PATH),
            ),
            (kind, f"SoPost lets us see the {kind}.", self._check_sight),
            ("webhooks", "The webhooks' subscriptions can be read.", self.subscriptions),
        )
        findings: list[Finding] = []
        for name, message, step in steps:
            try:
                step()
            except CrmPipelineError as error:
                findings.append(
                    Finding(check=name, is_ok=False, message=error.happened, remedy=error.remedy)
                )
                break
            findings.append(Finding(check=name, is_ok=True, message=message))
        return findings

    def close(self) -> None:
        """Give the connections back."""
        self._calls.close()

    def _rows(self) -> Sequence[Row]:
        return self._calls.rows(WEBHOOKS_PATH)

    def _is_right(self, row: Row, url: str, events: Sequence[str]) -> bool:
        return (
            _text(row, "url") == url
            and set(events) <= set(_events(row))
            and _text(row, "entity_type") == self._entity_type
            and _text(row, "entity_id").lower() == self._entity_id.lower()
        )

    def _check_sight(self) -> None:
        rows = self._calls.rows(ENTITY_PATHS[self._entity_type])
        if self._entity_id.lower() in {_text(row, "id").lower() for row in rows}:
            return
        raise ConfigurationError(
            f"SoPost shows us no {self._entity_type.lower()} {self._entity_id}.",
            not_done="Nothing was read.",
            remedy="Correct `entity_type` and `entity_id` in the organisation's file; if they are"
            " right, ask SoPost to let the API user see it.",
        )


def _check_entity(entity_type: str, entity_id: str) -> None:
    if entity_type in ENTITY_PATHS and is_uuid(entity_id):
        return
    raise ConfigurationError(
        "SoPost needs `entity_type` (Organisation or Campaign) and `entity_id`, a UUID.",
        not_done="Nothing was called.",
        remedy="Put both into the organisation's file, as SoPost's portal shows them.",
    )


def _check_dataset(dataset: str) -> None:
    if dataset != ORDERS.name:
        raise ValueError(f"SoPost has no dataset {dataset!r} here")


def _refuse_listing() -> NoReturn:
    raise BugError(
        "SoPost has no call that lists orders, and was asked for a list.",
        not_done="Nothing was read.",
        remedy="Orders come in by webhooks, or one by one by their ids. Please report this.",
    )


def _is_beside(url: str, other: str) -> bool:
    """Whether two addresses are of one receiver and organisation: only the last part may differ.

    What comes before it must have two parts of its own, so that nobody else's is taken for ours.

    >>> _is_beside("https://a.example/sopost/acme/1", "https://a.example/sopost/acme/2")
    True
    >>> _is_beside("https://a.example/sopost/acme-2/1", "https://a.example/sopost/acme/1")
    False
    >>> _is_beside("https://a.example/sopost/theirs", "https://a.example/sopost/ours")
    False
    """
    start = url.rpartition("/")[0]
    return url == other or (
        start == other.rpartition("/")[0] and start.count("/") >= _LEAST_SLASHES
    )


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _events(row: Row) -> tuple[str, ...]:
    given = row.get("events")
    return tuple(each for each in given if isinstance(each, str)) if isinstance(given, list) else ()
