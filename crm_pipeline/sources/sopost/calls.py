"""SoPost's calls: statuses, and lists of which only a few rows exist.

Here: what an answer's status means at SoPost. Not here: retries and credentials (``http``), the
order itself (``api``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_pipeline.core.ports import SourceConnection
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.http import Answer, ApiClient, Basic, Seams
from crm_pipeline.sources.sopost.assumptions import UNKNOWN_STATUSES

_CONNECTIONS = 4
#: An order is a few kilobytes.
_BODY_LIMIT_BYTES = 4 * 1024 * 1024

Row = Mapping[str, Any]


class Calls:
    """One organisation's calls. Thread-safe."""

    def __init__(self, connection: SourceConnection, seams: Seams | None) -> None:
        self._client = ApiClient(
            connection.base_url,
            waits=connection.waits,
            credentials=Basic(connection.secrets["user_id"], connection.secrets["password"]),
            connections=_CONNECTIONS,
            body_limit_bytes=_BODY_LIMIT_BYTES,
            seams=seams,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def get(self, path: str) -> Answer:
        """GET, whatever the status below 500."""
        return self._client.send("GET", path, is_repeatable=True)

    def rows(self, path: str) -> Sequence[Row]:
        """GET a list of objects. Raises ConfigurationError when there is none for us."""
        answer = self.get(path)
        if not answer.is_success:
            raise _refused(answer)
        value = answer.json()
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return value
        raise answer.malformed("is not a list of objects")

    def row(self, path: str) -> Row:
        """GET one object; an empty one when we are not told."""
        answer = self.get(path)
        value = answer.json() if answer.is_success else None
        return value if isinstance(value, dict) else {}

    def create(self, path: str, body: Row) -> None:
        """POST once: when the answer is lost, only a look can tell whether it was done."""
        answer = self._client.send("POST", path, json=body, is_repeatable=False)
        if not answer.is_success:
            raise _refused(answer)

    def delete(self, path: str) -> bool:
        """DELETE something; False when there was nothing."""
        answer = self._client.send("DELETE", path, is_repeatable=True)
        if answer.status in UNKNOWN_STATUSES:
            return False
        if not answer.is_success:
            raise _refused(answer)
        return True


def _refused(answer: Answer) -> ConfigurationError:
    return ConfigurationError(
        f"{answer.call}: SoPost refuses the call (status {answer.status}).",
        not_done="Nothing was read or changed.",
        remedy="Check `base_url`, `entity_type` and `entity_id` in the organisation's file, and"
        " that the API user may do this. The path itself is an assumption of ours:"
        " docs/vendor-assumptions.md.",
    )
