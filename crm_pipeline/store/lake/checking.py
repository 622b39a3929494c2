"""Proves that a table's data files are what was written, before anything is read from them.

DuckDB does not verify page checksums, so a local file is compared as a whole, once in a process,
with the digest in its name: about a second for a gigabyte. Files in object storage are read by
pyarrow, which verifies each page.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from crm_pipeline.store.lake.failures import damaged
from crm_pipeline.store.lake.parquet import DataFile
from crm_pipeline.store.lake.places import LocalPlace, RemotePlace, digest_in, digest_of_file

_VERIFIED = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


class FileCheck:
    """Remembers which files of this machine are proven, so that each is read once for it."""

    def __init__(self) -> None:
        self._proven: dict[str, tuple[int, int]] = {}

    def prove(self, place: LocalPlace, folder: str, file: DataFile) -> str:
        """Return the path of a file that is whole. Raises LakeDamagedError."""
        path = str(place.root / folder / file.name)
        try:
            status = os.stat(path)
        except OSError as error:
            raise damaged(folder, f"the file {file.name} is missing") from error
        mark = (status.st_size, status.st_mtime_ns)
        if self._proven.get(path) != mark:
            self._compare(path, status.st_size, folder, file)
            self._proven[path] = mark
        return path

    def _compare(self, path: str, size: int, folder: str, file: DataFile) -> None:
        if size != file.size:
            raise damaged(folder, f"the file {file.name} has another size than was written")
        if digest_of_file(path) != digest_in(file.name):
            raise damaged(folder, f"the content of {file.name} is not what was written")

    def trust(self, path: Path) -> None:
        """Note a file that this process has just written."""
        status = path.stat()
        self._proven[str(path)] = (status.st_size, status.st_mtime_ns)


def remote_dataset(
    place: RemotePlace, folder: str, files: Sequence[DataFile], schema: pa.Schema
) -> ds.Dataset:
    """Return files in object storage as one set of rows, each page verified when it is read."""
    return ds.dataset(
        [file.name for file in files],
        schema=schema,
        format=_VERIFIED,
        filesystem=place.filesystem(folder),
    )
