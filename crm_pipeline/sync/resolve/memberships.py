"""Memberships: who is in which opted-in list, as the tags that each contact should carry.

One object for each person who was ever in one of the lists: all of their tags of ours, together.
A person who left every list is an object without tags, so that the tags are taken away.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from crm_pipeline.core.subject import CUSTOMER
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.resolve.passes import GROUP_ROWS, Pass, Stage
from crm_pipeline.sync.resolve.tables import ResolveReport, desired_row
from crm_pipeline.sync.workspace import Workspace

MEMBERSHIPS = "desired/memberships"
_TOUCHED = """
SELECT DISTINCT customer_id FROM fresh WHERE list_id IN (SELECT list_id FROM tags)
"""
_TAGS_OF = """
SELECT rows.customer_id, max(rows.version_at) AS version_at,
       list_sort(list(tags.tag) FILTER (WHERE rows.is_member)) AS tags
FROM everybody AS rows JOIN tags USING (list_id)
WHERE rows.customer_id IN (SELECT customer_id FROM touched)
GROUP BY rows.customer_id ORDER BY rows.customer_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipRules:
    """Which lists become which tags: tag (id or name) by list id."""

    tags: Mapping[str, str]
    key_prefix: str = "loke"
    source: str = "loke"
    dataset: str = "list_members"

    @property
    def version(self) -> str:
        """Return a short name of the rules: another one after every change to them."""
        text = json.dumps([self.key_prefix, sorted(self.tags.items())])
        return blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def ours(self) -> str:
        """Return every tag that we may touch, as a JSON list."""
        return json.dumps(sorted(set(self.tags.values())))


def resolve_memberships(
    ws: Workspace, organisation: str, rules: MembershipRules, *, is_full: bool
) -> ResolveReport:
    """Bring ``desired/memberships`` up to the landed list members; the caller holds the lease."""
    stage = Stage(
        name="resolve:memberships",
        source=rules.source,
        dataset=rules.dataset,
        table=MEMBERSHIPS,
        version=rules.version,
    )
    one = Pass(ws, organisation, stage)
    if not one.begin(is_full=is_full):
        return one.report()
    with ws.lake.session() as session:
        one.write(MEMBERSHIPS, _groups(one, session, rules))
    return one.end(())


def _groups(
    one: Pass, session: LakeSession, rules: MembershipRules
) -> Iterator[list[dict[str, Any]]]:
    listed = {"list_id": list(rules.tags), "tag": list(rules.tags.values())}
    session.register(
        "tags", pa.table(listed, pa.schema([("list_id", "string"), ("tag", "string")]))
    )
    one.current(session, ("id",))
    session.execute(f"CREATE TEMP TABLE touched AS {_TOUCHED}")
    session.attach_current("everybody", one.organisation, one.landed, "id")
    for batch in session.sql(_TAGS_OF):
        for start in range(0, batch.num_rows, GROUP_ROWS):
            rows = batch.slice(start, GROUP_ROWS).to_pylist()
            one.count(len(rows))
            yield _desired(one, rows, rules)


def _desired(
    one: Pass, rows: Sequence[Mapping[str, Any]], rules: MembershipRules
) -> list[dict[str, Any]]:
    links = one.ws.ledger.links.of(
        one.organisation, rules.source, {row["customer_id"] for row in rows}
    )
    found = []
    kept = [row for row in rows if not one.erased.has(CUSTOMER, row["customer_id"])]
    one.left_out(len(rows), len(kept))
    for row in kept:
        key = links.get(row["customer_id"], f"{rules.key_prefix}:{row['customer_id']}")
        tags = sorted(set(row["tags"] or ()))
        fields = {"contact_key": key, "tags": json.dumps(tags), "ours": rules.ours}
        found.append(desired_row(key, row["customer_id"], row["version_at"], fields))
    return found
