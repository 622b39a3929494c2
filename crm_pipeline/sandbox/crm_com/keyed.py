"""Whom an admin call concerns, and which rows of a long list it wants."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from crm_pipeline.sandbox.control.admin import AdminError
from crm_pipeline.sandbox.wire import Request

Row = TypeVar("Row")


class KeyBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom a command concerns: a key, or a slug or organisation id, which mean the test key."""

    key: str = ""
    organisation: str = ""

    @property
    def opens(self) -> str:
        """Return whichever of the two was given."""
        return self.key or self.organisation


def key_of(request: Request) -> str:
    """Return the key or organisation in a query. Raises AdminError."""
    key = request.query.get("key") or request.query.get("organisation")
    if not key:
        raise AdminError("say whose: key=... or organisation=...")
    return key


def rows_of(request: Request, rows: Sequence[Row], show: Callable[[Row], Any]) -> dict[str, Any]:
    """Return the rows that ``offset`` and ``limit`` ask for, and how many there are."""
    offset = int(request.query.get("offset", "0"))
    limit = int(request.query.get("limit", str(len(rows))))
    return {"total": len(rows), "rows": [show(each) for each in rows[offset : offset + limit]]}
