"""Where a lake's bytes are: a local folder, or object storage by URL.

Local files are 0600 and folders 0700, whatever the umask. A local data file carries the digest of
its content in its name, so the Delta log, which lists the names, vouches for every byte.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow.fs as pafs
from deltalake._internal import DeltaFileSystemHandler
from deltalake.fs import DeltaStorageHandler

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

#: Bytes of the digest in a file's name.
DIGEST_BYTES = 16
_HASHED_AT_ONCE = 1 << 20
#: Log entries that one commit can have made, by name the last: commits, checkpoint, its pointer.
_NEWEST_ENTRIES = 8


class Sink:
    """A file open for writing that takes the digest and the size of what goes through it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write one piece."""
        view = memoryview(data)
        self._digest.update(view)
        self._stream.write(bytes(view))
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size

    def flush(self) -> None:
        """Do nothing: the place makes the bytes durable when all are there."""

    def digest(self) -> str:
        """Return the digest of everything that was written."""
        return self._digest.hexdigest()


class Place(Protocol):
    """What the lake needs from a storage."""

    storage_options: dict[str, str] | None

    def uri(self, folder: str) -> str:
        """Return the address that Delta opens."""
        ...

    def prepare(self, folder: str) -> None:
        """Make the folders of a new table."""
        ...

    def write(self, folder: str, fill: Callable[[Sink], None]) -> tuple[str, int]:
        """Write one data file durably; return its name and size."""
        ...

    def settle_log(self, folder: str) -> None:
        """Make the newest entries of a table's log durable and private."""
        ...

    def spill_folder(self) -> str:
        """Return a new private local folder for what does not fit in memory."""
        ...


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).absolute()
        self.storage_options: dict[str, str] | None = None

    def uri(self, folder: str) -> str:
        """Return the folder's path."""
        return str(self.root / folder)

    def prepare(self, folder: str) -> None:
        """Make root, table and log folders, 0700 each."""
        make_private(self.root)
        path = self.root
        for part in (*Path(folder).parts, "_delta_log"):
            path = path / part
            path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            path.chmod(DIRECTORY_MODE)

    def write(self, folder: str, fill: Callable[[Sink], None]) -> tuple[str, int]:
        """Write, flush to the disk, and name the file after its content."""
        directory = self.root / folder
        unfinished = directory / f"{secrets.token_hex(8)}.unfinished"
        try:
            with _open_private(unfinished) as stream:
                sink = Sink(stream)
                fill(sink)
                stream.flush()
                os.fsync(stream.fileno())
            name = f"{secrets.token_hex(4)}-{sink.digest()}.parquet"
            unfinished.rename(directory / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        sync_directory(directory)
        return name, sink.size

    def settle_log(self, folder: str) -> None:
        """Flush and lock away what the Delta library has just written."""
        log = self.root / folder / "_delta_log"
        for name in sorted(os.listdir(log))[-_NEWEST_ENTRIES:]:
            path = log / name
            if path.is_file() and path.stat().st_mode & 0o077:
                path.chmod(FILE_MODE)
                _sync_file(str(path))
        sync_directory(log)

    def spill_folder(self) -> str:
        """Return a new folder below the root."""
        make_private(self.root)
        return tempfile.mkdtemp(prefix=".spill-", dir=self.root)

    def remove_dead_spills(self) -> int:
        """Remove the spill folders that no living process holds; return how many."""
        removed = 0
        for folder in self.root.glob(".spill-*"):
            with contextlib.suppress(FileNotFoundError), _held(folder) as is_held:
                if is_held:
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
        return removed

    def sweep_spills(self, older_than: float) -> None:
        """Remove the spill folders that killed processes left before a moment (seconds, epoch)."""
        for folder in self.root.glob(".spill-*"):
            if folder.stat().st_mtime < older_than:
                shutil.rmtree(folder, ignore_errors=True)


class RemotePlace:
    """Object storage behind a URL that the Delta library knows (``s3://``, ``gs://``, ...)."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.storage_options = dict(storage_options) if storage_options else None

    def uri(self, folder: str) -> str:
        """Return the table's URL."""
        return f"{self.root}/{folder}"

    def prepare(self, folder: str) -> None:
        """Do nothing: object storage has no folders."""

    def filesystem(self, folder: str) -> pafs.FileSystem:
        """Return the table's files as pyarrow reads them."""
        handler = DeltaStorageHandler(self.uri(folder), self.storage_options)
        return pafs.PyFileSystem(handler)

    def write(self, folder: str, fill: Callable[[Sink], None]) -> tuple[str, int]:
        """Upload one file. It is visible only when complete."""
        name = f"{secrets.token_hex(16)}.parquet"
        # Not through pyarrow's file system: it hands buffers over where bytes alone are taken.
        uploads: Any = DeltaFileSystemHandler(self.uri(folder), self.storage_options)
        with contextlib.closing(uploads.open_output_stream(name)) as stream:
            sink = Sink(stream)
            fill(sink)
        return name, sink.size

    def settle_log(self, folder: str) -> None:
        """Do nothing: an upload that was acknowledged is durable."""

    def spill_folder(self) -> str:
        """Return a new folder in the machine's place for temporary files."""
        return tempfile.mkdtemp(prefix="crm-pipeline-spill-")


def place_for(root_url: str, storage_options: Mapping[str, str] | None = None) -> Place:
    """Return the place that a path or URL names.

    >>> type(place_for("s3://bucket/lake")).__name__
    'RemotePlace'
    """
    parts = urlsplit(root_url)
    if parts.scheme == "file":
        return LocalPlace(url2pathname(parts.path))
    if "://" in root_url:
        return RemotePlace(root_url, storage_options)
    return LocalPlace(root_url)


def digest_in(name: str) -> str | None:
    """Return the digest that a data file's name carries, or None."""
    stem, dot, _ = name.rpartition(".")
    digest = stem.rpartition("-")[2]
    return digest if dot and len(digest) == 2 * DIGEST_BYTES and "-" in stem else None


def digest_of_file(path: str) -> str:
    """Return the digest of a local file's content."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    with Path(path).open("rb", buffering=0) as stream:
        while piece := stream.read(_HASHED_AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter."""
    folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    folder.chmod(DIRECTORY_MODE)


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable."""
    _sync_file(str(path))


def hold_folder(path: str) -> int:
    """Hold a folder while the process lives, so that nobody takes it for a dead one's.

    Closing the descriptor that is returned lets go of it.
    """
    while True:
        os.makedirs(path, mode=DIRECTORY_MODE, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)  # it was taken for a dead one's before we held it


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder if nobody does; say whether it is held now."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _open_private(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, FILE_MODE)
        yield stream


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
