"""A body as strict JSON: an object, read the one way that every reader agrees on.

Python's parser takes doubled names (the last wins), ``NaN`` and halves of surrogate pairs; two
readers could then see two different events in one body. All of them are refused here.
"""

import json
import re
from typing import Any, NoReturn

from crm_pipeline.webhooks.refusals import Refused

#: Half of a surrogate pair can only stand in an escape: as bytes it is no UTF-8.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises Refused (400) for everything else."""
    try:
        data = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
        if not isinstance(data, dict):
            raise Refused(400, "malformed")
        if _SURROGATE.search(body):
            json.dumps(data, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Refused(400, "malformed") from None
    return data


def text_at(data: dict[str, Any], *path: str) -> str:
    """Return the text at a path of members, or an empty one when there is none.

    >>> text_at({"customer": {"id": "01HP"}}, "customer", "id"), text_at({"customer": []}, "id")
    ('01HP', '')
    """
    value: Any = data
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
