"""One organisation's catalogue, read whole and given page by page.

Here: pages and their links. Not here: the file (``places``, ``formats``), its columns
(``products``).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.ports import DecodedPage, Page, SourceConnection
from crm_pipeline.core.records import Finding
from crm_pipeline.errors import CrmPipelineError, SourceUnstableError
from crm_pipeline.http import Seams
from crm_pipeline.sources.catalogue.formats import format_of, pages_of
from crm_pipeline.sources.catalogue.places import open_place
from crm_pipeline.sources.catalogue.products import PRODUCTS, decode_products


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One state of the file. ``digest`` is of its bytes."""

    digest: str
    server_date: dt.datetime | None
    pages: Sequence[bytes]


class CatalogueApi:
    """Reads one catalogue. Thread-safe.

    The file is read when a first page is asked for; the pages after it are of the same bytes. A
    link names the state of the file and the page: ``catalogue:<digest>#<page>``.
    Options: ``location``, ``format``, and ``currency`` for rows that name none.
    """

    def __init__(self, connection: SourceConnection, *, seams: Seams | None = None) -> None:
        self._place = open_place(connection, seams)
        self._format = format_of(self._place.path, connection.options.get("format", ""))
        self._currency = connection.options.get("currency", "")
        self._loaded: _Loaded | None = None

    def first_page(self, dataset: str) -> Page:
        """Read the file and give its first page."""
        _check_dataset(dataset)
        self._loaded = loaded = self._load()
        return _page(loaded, 0)

    def next_page(self, link: str) -> Page:
        """Give the page that a link names. Raises SourceUnstableError when the file changed."""
        digest, _, number = link.removeprefix("catalogue:").partition("#")
        loaded = self._loaded
        if loaded is None or loaded.digest != digest:
            self._loaded = loaded = self._load()
        if loaded.digest != digest or not 0 <= int(number) < len(loaded.pages):
            raise SourceUnstableError(
                "The catalogue's file changed while it was read.",
                not_done="The rest of it was not read.",
                remedy="Run again: it is read from its beginning.",
            )
        return _page(loaded, int(number))

    def decode(self, dataset: str, page: Page) -> DecodedPage:
        """Turn one page into typed columns."""
        _check_dataset(dataset)
        return decode_products(page.body, self._currency)

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        """Read the file for one SKU; None when it has no usable row of it."""
        _check_dataset(dataset)
        for body in self._load().pages:
            rows = decode_products(body, self._currency).rows
            found = rows.filter(pc.equal(rows.column("id"), pa.scalar(source_id)))
            if found.num_rows:
                return DecodedPage(rows=found, rejects=(), row_count=found.num_rows)
        return None

    def check(self) -> Sequence[Finding]:
        """Prove that the file can be read and is what its format says."""
        try:
            self.decode(PRODUCTS.name, self.first_page(PRODUCTS.name))
        except CrmPipelineError as error:
            message, remedy = error.happened, error.remedy
            return [Finding(check=PRODUCTS.name, is_ok=False, message=message, remedy=remedy)]
        return [Finding(check=PRODUCTS.name, is_ok=True, message="The catalogue can be read.")]

    def close(self) -> None:
        """Give the connections back."""
        self._place.close()
        self._loaded = None

    def _load(self) -> _Loaded:
        fetched = self._place.fetch()
        digest = blake2b(fetched.body, digest_size=16).hexdigest()
        if self._loaded is not None and self._loaded.digest == digest:
            return self._loaded
        return _Loaded(digest, fetched.server_date, pages_of(fetched.body, self._format))


def _page(loaded: _Loaded, number: int) -> Page:
    body = loaded.pages[number]
    is_last = number + 1 == len(loaded.pages)
    return Page(
        body=body,
        next_link=None if is_last else f"catalogue:{loaded.digest}#{number + 1}",
        server_date=loaded.server_date,
        digest=blake2b(body, digest_size=16).hexdigest(),
    )


def _check_dataset(dataset: str) -> None:
    if dataset != PRODUCTS.name:
        raise ValueError(f"a catalogue has no dataset {dataset!r}")
