"""The installation's key for tombstones: a file of its owner's, made when it is first needed.

Without it no tombstone can be compared, so it belongs into the backup, apart from the data.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from crm_pipeline.errors import ConfigurationError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_BYTES = 32


class KeyFile:
    """A secret key of 32 bytes in a file, as hex. The key is read anew at each call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        """Return the key. Raises ConfigurationError when there is none or others can read it."""
        try:
            with self.path.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                text = stream.read(4 * _BYTES)
        except OSError as error:
            raise _unusable(f"cannot be read ({type(error).__name__})") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _unusable("can be read by others")
        key = b""
        with suppress(ValueError):
            key = bytes.fromhex(text.decode("ascii", "replace").strip())
        if len(key) != _BYTES:
            raise _unusable("does not hold 64 hex digits")
        return key

    def ensure(self) -> bytes:
        """Return the key; make it first when there is no file. Processes may do it at once."""
        if not self.path.exists():
            self._make()
        return self.read()

    def _make(self) -> None:
        folder = self.path.parent
        draft = folder / f".{self.path.name}.{secrets.token_hex(8)}"
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(file, "wb") as stream:
                os.fchmod(stream.fileno(), FILE_MODE)
                stream.write(secrets.token_hex(_BYTES).encode())
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileExistsError):
                os.link(draft, self.path)  # never in place of a key that another process made
            draft.unlink()
            sync_folder(folder)
        except OSError as error:
            raise _unusable(f"cannot be made ({type(error).__name__})") from None


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The key of the tombstones {why}.",
        not_done="Nothing was read, sent or erased: an erased person could not be told apart.",
        remedy=(
            "Put the file back from a backup, readable by its owner only: `tombstone.key` in"
            " CRM_PIPELINE_HOME, or what CRM_PIPELINE_TOMBSTONE_KEY_FILE names."
        ),
    )
