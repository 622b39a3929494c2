"""Receipts of erasures: what was removed where, without a word about whom.

One JSON file an erasure, its owner's only. It also brings tombstones back after a ledger was
restored from a backup of before (``again``).
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from crm_pipeline.errors import TryLaterError
from crm_pipeline.store.keyfile import FILE_MODE, FOLDER_MODE, sync_folder
from crm_pipeline.store.ledger import Erasure, Stone

_FORMAT = 1


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt says that the product reads again."""

    erasure: str
    organisation: str
    tombstones: list[Stone]


def write_receipt(
    folder: Path,
    erasure: Erasure,
    stones: Sequence[Stone],
    *,
    completed_at: str,
    notes: Mapping[str, Any],
) -> Path:
    """Write the receipt of an erasure whose steps are done; one that is there is replaced."""
    document = {
        "format": _FORMAT,
        "erasure": erasure.id,
        "organisation": erasure.organisation,
        "started_at": erasure.started_at.isoformat(),
        "completed_at": completed_at,
        "removed": erasure.steps,
        **notes,
        "tombstones": [msgspec.to_builtins(stone) for stone in stones],
    }
    path = folder / f"{erasure.organisation}-{erasure.id}.json"
    draft = path.with_name(f".{path.name}.new")
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        draft.unlink(missing_ok=True)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(path)
        sync_folder(folder)
    except OSError as error:
        raise TryLaterError(
            f"The receipt of the erasure could not be written ({type(error).__name__}).",
            not_done="The erasure stays open.",
            remedy="Look at space and modes in CRM_PIPELINE_HOME, then run `erase --resume`.",
        ) from error
    return path


def read_receipts(folder: Path, organisation: str) -> list[Receipt]:
    """Return the receipts of an organisation; a file that is none is passed over."""
    found = []
    for path in sorted(folder.glob(f"{organisation}-*.json")):
        try:
            receipt = msgspec.json.decode(path.read_bytes(), type=Receipt)
        except (OSError, msgspec.DecodeError):
            continue
        if receipt.organisation == organisation:
            found.append(receipt)
    return found
