"""One organisation's live connection to LOKE.

Here: which call reads which dataset, and the webhooks' subscriptions. Not here: statuses and next
links (``calls``), shapes (``decoding`` and each dataset's module).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crm_pipeline.core.paging import LinkTrail
from crm_pipeline.core.ports import (
    DecodedPage,
    ListInfo,
    Page,
    Secret,
    SourceConnection,
    Subscription,
)
from crm_pipeline.core.records import Finding
from crm_pipeline.errors import (
    ConfigurationError,
    CrmPipelineError,
    SecretMissingError,
    SourceUnstableError,
)
from crm_pipeline.http import Answer, Seams
from crm_pipeline.http.origin import path_of
from crm_pipeline.sources.loke.calls import Calls, join_link, page_of, split_link
from crm_pipeline.sources.loke.customers import CUSTOMERS
from crm_pipeline.sources.loke.decoding import DATASETS, PartPage, decode_page, part_page
from crm_pipeline.sources.loke.members import LIST_MEMBERS
from crm_pipeline.sources.loke.orders import ORDERS

#: What the fragment of a link names: the list or the location that its page belongs to.
_LIST, _LOCATION = "list", "location"

#: What an e-mail address or a phone number can find at most, in pages: more is no filter.
_MOST_FOUND_PAGES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One place of sale. ``timezone`` is an IANA name, empty when LOKE gives none."""

    id: str
    name: str
    timezone: str


class LokeApi:
    """Reads one organisation's datasets. Thread-safe.

    Customers and payments come newest first. Orders are read location by location: the link after
    a location's last page leads to the next location. Members are read list by list. The pages of
    both are ``PartPage``, which ``decode`` needs to tell the list; their links carry it in a
    fragment that is never sent.
    """

    def __init__(self, connection: SourceConnection, *, seams: Seams | None = None) -> None:
        self._calls = Calls(connection, seams)
        self._root = self._calls.root
        named = connection.options.get("datasets") or CUSTOMERS.name
        self._datasets = tuple(name.strip() for name in named.split(",") if name.strip())
        self._location_ids: tuple[str, ...] = ()

    def first_page(self, dataset: str) -> Page:
        """Read the first page of a dataset; ``list_members`` has none, see ``members_page``."""
        _check_dataset(dataset)
        if dataset == ORDERS.name:
            return self._first_orders()
        if dataset == LIST_MEMBERS.name:
            raise ValueError("the members of a list are read with `members_page`")
        path = f"{self._root}/{dataset}?sort=updated"
        answer = self._calls.get(path)
        return page_of(answer, self._calls.next_link(path, answer))

    def next_page(self, link: str) -> PartPage:
        """Follow a next link unchanged."""
        plain, kind, part = split_link(link)
        answer = self._calls.follow(plain)
        if answer is None:
            raise SourceUnstableError(
                f"LOKE lists no {kind or 'page'} there any more.",
                not_done="The scan was stopped; nobody was taken for gone.",
                remedy="Run again: the scan starts from the first page.",
            )
        return self._part_page(plain, answer, kind, part)

    def decode(self, dataset: str, page: Page) -> DecodedPage:
        """Turn one page into typed columns; members need a page of ``members_page``."""
        _check_dataset(dataset)
        return decode_page(dataset, page)

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        """Read one customer or order by id, or None when LOKE does not know it.

        An order may be named ``<location id>/<order id>``; by its own id alone it is looked for at
        each location. LOKE has no call that reads one payment or one member.
        """
        _check_dataset(dataset)
        if dataset == CUSTOMERS.name:
            return self._one(dataset, f"{self._root}/customers{path_of(source_id)}")
        if dataset == ORDERS.name:
            return self._one_order(source_id)
        raise ValueError(f"LOKE has no call that reads one record of {dataset}")

    def find(self, *, email: str = "", phone: str = "") -> DecodedPage:
        """Read the customers with an e-mail address, or with a phone number as LOKE spells it."""
        if bool(email) == bool(phone):
            raise ValueError("find by either an e-mail address or a phone number")
        path = f"{self._root}/customers"
        answer = self._calls.get(path, {"email": email} if email else {"phoneNumber": phone})
        page = page_of(answer, self._calls.next_link(path, answer))
        found = [decode_page(CUSTOMERS.name, page)]
        trail = LinkTrail(_MOST_FOUND_PAGES)
        while page.next_link is not None:
            trail.follow(page.next_link)
            page = self.next_page(page.next_link)
            found.append(decode_page(CUSTOMERS.name, page))
        return DecodedPage(
            rows=pa.concat_batches([each.rows for each in found]),
            rejects=tuple(reject for each in found for reject in each.rejects),
            row_count=sum(each.row_count for each in found),
        )

    def memberships(self, customer_id: str) -> Sequence[ListInfo]:
        """Read the lists that one customer is in (pages of ten)."""
        return self._lists(f"{self._root}/customers{path_of(customer_id)}/memberships")

    def lists(self) -> Sequence[ListInfo]:
        """Read every list of the organisation, all pages."""
        return self._lists(f"{self._root}/customer-lists")

    def locations(self) -> Sequence[Location]:
        """Read every location of the organisation, all pages, in the order of their ids."""
        rows = self._calls.every(f"{self._root}/locations")
        found = {
            str(row["id"]): Location(
                id=str(row["id"]), name=_text(row, "name"), timezone=_text(row, "timezone")
            )
            for row in rows
        }
        return [found[location_id] for location_id in sorted(found)]

    def members_page(self, list_id: str) -> PartPage:
        """Read the first page of a list's members. Raises ConfigurationError for no such list."""
        path = f"{self._root}/customer-lists{path_of(list_id)}/members"
        answer = self._calls.get_known(path)
        if answer is None:
            raise ConfigurationError(
                f"LOKE has no customer list {list_id!r} in this organisation.",
                not_done="Nobody was taken out of a list.",
                remedy="Take the list out of the organisation's file, or correct its id.",
            )
        return self._part_page(path, answer, _LIST, list_id)

    def subscriptions(self) -> Sequence[Subscription]:
        """Read what is subscribed, ours and others'."""
        return [
            Subscription(
                ref=_text(row, "ref"),
                url=_text(row, "url"),
                events=tuple(each for each in row.get("events") or () if isinstance(each, str)),
            )
            for row in self._calls.every(f"{self._root}/webhooks")
        ]

    def subscribe(self, ref: str, url: str, events: Sequence[str], secret: Secret | None) -> None:
        """Make or replace one subscription; safe to repeat. The event list is replaced whole."""
        value = secret() if secret is not None else ""
        if not value:
            raise SecretMissingError(
                "LOKE signs its webhooks with a secret, and there is none.",
                not_done="Nothing was subscribed.",
                remedy="Give the source's webhooks a `secret` in the organisation's file.",
            )
        self._calls.put(
            f"{self._root}/webhooks{path_of(ref)}",
            {"url": url, "secret": value, "events": list(events)},
        )

    def unsubscribe(self, ref: str) -> bool:
        """Remove one subscription; False when there was none."""
        return self._calls.delete(f"{self._root}/webhooks{path_of(ref)}")

    def check(self) -> Sequence[Finding]:
        """Prove token, organisation and each dataset in use, up to the first failure."""
        steps: list[tuple[str, str, Callable[[], object]]] = [
            ("token", "LOKE gives our client a token.", self._calls.check_token),
            (
                "organisation",
                "LOKE lets our client reach the organisation.",
                self._calls.check_reach,
            ),
        ]
        steps += [(name, *self._dataset_step(name)) for name in self._datasets]
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

    def _first_orders(self) -> Page:
        self._location_ids = tuple(location.id for location in self.locations())
        if not self._location_ids:
            return part_page(b"[]", server_date=None)
        return self.next_page(self._orders_link(self._location_ids[0]))

    def _orders_path(self, location_id: str) -> str:
        return f"{self._root}/locations{path_of(location_id)}/orders"

    def _orders_link(self, location_id: str) -> str:
        link = self._calls.url(self._orders_path(location_id))
        return join_link(link, _LOCATION, location_id)

    def _part_page(self, asked: str, answer: Answer, kind: str, part: str) -> PartPage:
        link = self._calls.next_link(asked, answer)
        if link is not None and kind:
            link = join_link(link, kind, part)
        elif link is None and kind == _LOCATION:
            link = self._link_after(part)
        return page_of(answer, link, part)

    def _link_after(self, location_id: str) -> str | None:
        """Return the link to the location after one, None after the last."""
        if not self._location_ids:
            self._location_ids = tuple(location.id for location in self.locations())
        following = next((each for each in self._location_ids if each > location_id), None)
        return None if following is None else self._orders_link(following)

    def _one(self, dataset: str, path: str, part: str = "") -> DecodedPage | None:
        answer = self._calls.get_known(path)
        if answer is None:
            return None
        body = b"[" + answer.body + b"]"
        return decode_page(dataset, part_page(body, server_date=answer.server_date, part=part))

    def _one_order(self, source_id: str) -> DecodedPage | None:
        location_id, _, order_id = source_id.rpartition("/")
        locations = [location_id] if location_id else [each.id for each in self.locations()]
        found = (
            self._one(ORDERS.name, self._orders_path(each) + path_of(order_id), each)
            for each in locations
        )
        return next((each for each in found if each is not None), None)

    def _lists(self, path: str) -> Sequence[ListInfo]:
        return [
            ListInfo(id=str(row["id"]), name=_text(row, "name"), member_count=_count(row))
            for row in self._calls.every(path)
        ]

    def _dataset_step(self, dataset: str) -> tuple[str, Callable[[], object]]:
        _check_dataset(dataset)
        if dataset == LIST_MEMBERS.name:
            return "The customer lists can be read.", self.lists
        return (
            f"The first page of {dataset} can be read.",
            lambda: self.decode(dataset, self.first_page(dataset)),
        )


def _check_dataset(dataset: str) -> None:
    if dataset not in DATASETS:
        raise ValueError(f"LOKE has no dataset {dataset!r} here")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _count(row: Mapping[str, Any]) -> int | None:
    value = row.get("memberCount")
    return value if isinstance(value, int) and not isinstance(value, bool) else None
