"""LOKE's calls for one organisation: paths, statuses, next links.

Here: what an answer's status means at LOKE, and lists of which only a few rows exist. Not here:
retries and tokens (``http``), the datasets (``api``).
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urldefrag

from crm_pipeline.core.lossless import is_usable_id
from crm_pipeline.core.paging import LinkTrail, resolve_next_link
from crm_pipeline.core.ports import SourceConnection
from crm_pipeline.errors import OrganisationGoneError, SourceUnstableError
from crm_pipeline.http import Answer, ApiClient, ClientCredentials, Seams
from crm_pipeline.http.origin import path_of
from crm_pipeline.sources.loke.decoding import PartPage, part_page

#: One page is read ahead while the last one is decoded; a keyed read may come between.
_CONNECTIONS = 4

#: What an organisation that has not (or no longer) installed our client answers.
_GONE_STATUSES = frozenset({403, 404, 410})

#: No organisation has so many pages of locations, lists or subscriptions.
_MOST_SMALL_PAGES = 10_000


class Calls:
    """One organisation's calls. Thread-safe."""

    def __init__(self, connection: SourceConnection, seams: Seams | None) -> None:
        self._organisation = connection.organisation
        self._base_url = connection.base_url.rstrip("/")
        self.root = path_of("organizations", connection.organisation_id)
        self._tokens = ClientCredentials(
            connection.token_url,
            client_id=connection.secrets["client_id"],
            client_secret=connection.secrets["client_secret"],
            waits=connection.waits,
            seams=seams,
        )
        self._client = ApiClient(
            connection.base_url,
            waits=connection.waits,
            credentials=self._tokens,
            connections=_CONNECTIONS,
            seams=seams,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
        self._tokens.close()

    def check_token(self) -> None:
        """Get a token, or raise why there is none."""
        self._tokens.header()

    def check_reach(self) -> None:
        """Raise OrganisationGoneError when LOKE does not let our client reach the organisation."""
        self.get(self.root)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET what must be there while the organisation is."""
        return self.usable(self._client.send("GET", path, query=query, is_repeatable=True))

    def get_known(self, path: str) -> Answer | None:
        """GET what may be missing: None when the organisation is there and this is not."""
        return self._known(self._client.send("GET", path, is_repeatable=True))

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """PUT what may be repeated; any success counts, with or without a body."""
        self.usable(self._client.send("PUT", path, json=body, is_repeatable=True))

    def delete(self, path: str) -> bool:
        """DELETE something; False when there was nothing."""
        return self._known(self._client.send("DELETE", path, is_repeatable=True)) is not None

    def follow(self, link: str) -> Answer | None:
        """GET a next link unchanged; None when what it lists is gone and the organisation is not.

        Raises SourceUnstableError when LOKE refuses its own link.
        """
        answer = self._client.send("GET", link, is_repeatable=True)
        if answer.status == 400:
            raise SourceUnstableError(
                f"{answer.call}: LOKE refused its own next link (status 400).",
                not_done="The scan was stopped; the watermark was not moved.",
                remedy="Run again: the scan starts from the first page.",
            )
        return self._known(answer)

    def usable(self, answer: Answer) -> Answer:
        """Return a successful answer. Raises OrganisationGoneError or MalformedAnswerError."""
        if answer.status in _GONE_STATUSES:
            raise OrganisationGoneError(
                f"{answer.call}: LOKE does not let our client reach the organisation"
                f" (status {answer.status}).",
                not_done=f"Nothing was read for {self._organisation}; its CRM was left alone.",
                remedy="Check the organisation id; if it is right, ask the organisation's admin to"
                " install our client at LOKE again.",
            )
        if not answer.is_success:
            raise answer.malformed("refuses a documented call")
        return answer

    def url(self, path: str) -> str:
        """Return the absolute address of a path, as a link."""
        return f"{self._base_url}{path}"

    def next_link(self, asked: str, answer: Answer) -> str | None:
        """Return the next link that an answer gives, as an absolute URL of our own server."""
        asked_url = asked if "://" in asked else self.url(asked)
        link = resolve_next_link(self._base_url, asked_url, answer.headers.get("x-next-page"))
        return None if link is None else urldefrag(link).url

    def every(self, path: str) -> list[Mapping[str, Any]]:
        """Read a small list, all pages; rows that are no objects with an id are left out.

        ``ref`` counts as an id too. Raises MalformedAnswerError when an answer is no list.
        """
        rows: list[Mapping[str, Any]] = []
        trail = LinkTrail(_MOST_SMALL_PAGES)
        link: str | None = path
        while link is not None:
            trail.follow(link)
            answer = self.get(link)
            content = answer.json()
            if not isinstance(content, list):
                raise answer.malformed("holds no list")
            rows += [each for each in content if isinstance(each, dict) and _is_named(each)]
            link = self.next_link(link, answer)
        return rows

    def _known(self, answer: Answer) -> Answer | None:
        if answer.status == 404:
            self.check_reach()
            return None
        return self.usable(answer)


def page_of(answer: Answer, next_link: str | None, part: str = "") -> PartPage:
    """Return an answer as a page; ``part`` names the list or the location that it is of."""
    return part_page(answer.body, next_link, server_date=answer.server_date, part=part)


def join_link(link: str, kind: str, part: str) -> str:
    """Return a link that remembers which part it belongs to, in a fragment that is never sent.

    >>> join_link("https://api.example.com/x?after=1", "list", "01H/A")
    'https://api.example.com/x?after=1#list=01H%2FA'
    """
    return f"{link}#{kind}={quote(part, safe='')}"


def split_link(link: str) -> tuple[str, str, str]:
    """Return a link as it may be sent, and the kind and id of its part (both may be empty).

    >>> split_link("https://api.example.com/x?after=1#list=01H%2FA")
    ('https://api.example.com/x?after=1', 'list', '01H/A')
    >>> split_link("https://api.example.com/x")
    ('https://api.example.com/x', '', '')
    """
    plain, _, mark = link.partition("#")
    kind, _, part = mark.partition("=")
    return plain, kind, unquote(part)


def _is_named(row: Mapping[str, Any]) -> bool:
    return is_usable_id(row.get("id")) or is_usable_id(row.get("ref"))
