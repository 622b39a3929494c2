"""One organisation's live connection to LOKE.

Here: paths, statuses, next links. Not here: retries and tokens (``http``), shapes (``customers``).
"""

from collections.abc import Sequence
from hashlib import blake2b

from crm_pipeline.core.paging import resolve_next_link
from crm_pipeline.core.ports import DecodedPage, Page, SourceConnection
from crm_pipeline.core.records import Finding
from crm_pipeline.errors import CrmPipelineError, OrganisationGoneError, SourceUnstableError
from crm_pipeline.http import Answer, ApiClient, ClientCredentials, Seams
from crm_pipeline.http.origin import path_of
from crm_pipeline.sources.loke.customers import CUSTOMERS
from crm_pipeline.sources.loke.decoding import decode_customers

#: One page is read ahead while the last one is decoded; a keyed read may come between.
_CONNECTIONS = 4

#: What an organisation that has not (or no longer) installed our client answers.
_GONE_STATUSES = frozenset({403, 404, 410})


class LokeApi:
    """Reads one organisation's customers. Thread-safe."""

    def __init__(self, connection: SourceConnection, *, seams: Seams | None = None) -> None:
        self._organisation = connection.organisation
        self._base_url = connection.base_url.rstrip("/")
        self._organisation_path = path_of("organizations", connection.organisation_id)
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

    def first_page(self, dataset: str) -> Page:
        """Read the first page, most recently updated first."""
        path = f"{self._dataset_path(dataset)}?sort=updated"
        return self._page(path, self._get(path))

    def next_page(self, link: str) -> Page:
        """Follow a next link unchanged."""
        answer = self._client.send("GET", link, is_repeatable=True)
        if answer.status == 400:
            raise SourceUnstableError(
                f"{answer.call}: LOKE refused its own next link (status 400).",
                not_done="The scan was stopped; the watermark was not moved.",
                remedy="Run again: the scan starts from the first page.",
            )
        return self._page(link, self._usable(answer))

    def decode(self, dataset: str, page: Page) -> DecodedPage:
        """Turn one page into typed columns."""
        _check_dataset(dataset)
        return decode_customers(page.body)

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        """Read one customer by id, or None when LOKE knows no such customer."""
        path = self._dataset_path(dataset) + path_of(source_id)
        answer = self._client.send("GET", path, is_repeatable=True)
        if answer.status == 404:
            self._get(self._organisation_path)  # raises when the organisation itself is gone
            return None
        return decode_customers(b"[" + self._usable(answer).body + b"]")

    def check(self) -> Sequence[Finding]:
        """Prove token, organisation and first page, in this order, up to the first failure."""
        steps = (
            ("token", "LOKE gives our client a token.", self._check_token),
            ("organisation", "LOKE lets our client reach the organisation.", self._check_reach),
            ("customers", "The first page of customers can be read.", self._check_customers),
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
        self._client.close()
        self._tokens.close()

    def _dataset_path(self, dataset: str) -> str:
        _check_dataset(dataset)
        return f"{self._organisation_path}/customers"

    def _get(self, path: str) -> Answer:
        return self._usable(self._client.send("GET", path, is_repeatable=True))

    def _usable(self, answer: Answer) -> Answer:
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

    def _page(self, asked: str, answer: Answer) -> Page:
        asked_url = asked if "://" in asked else f"{self._base_url}{asked}"
        return Page(
            body=answer.body,
            next_link=resolve_next_link(
                self._base_url, asked_url, answer.headers.get("x-next-page")
            ),
            server_date=answer.server_date,
            digest=blake2b(answer.body, digest_size=16).hexdigest(),
        )

    def _check_token(self) -> None:
        self._tokens.header()

    def _check_reach(self) -> None:
        self._get(self._organisation_path)

    def _check_customers(self) -> None:
        self.decode(CUSTOMERS.name, self.first_page(CUSTOMERS.name))


def _check_dataset(dataset: str) -> None:
    if dataset != CUSTOMERS.name:
        raise ValueError(f"LOKE has no dataset {dataset!r} here")
