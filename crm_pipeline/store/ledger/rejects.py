"""Records that were set aside, each with its reason: nothing is lost, nothing retried blindly."""

import builtins
import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from crm_pipeline.core.records import Reject
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import rejects
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros

#: A longer key would not fit into an index of Postgres.
MAX_KEY_LENGTH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReject:
    """A reject with who refused it, when, and how often in all."""

    party: str
    reject: Reject
    rejected_at: dt.datetime
    times: int


class Rejects:
    """One row for each record that is set aside; a repeated refusal is counted, not copied."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, organisation: str, party: str, found: Sequence[Reject]) -> None:
        """Set records aside. ``party`` is the source or destination that is concerned."""
        if not found:
            return
        now = to_micros(self._clock())
        newest = {
            (reject.stage, storable(reject.dataset), storable(reject.key, MAX_KEY_LENGTH)): reject
            for reject in found
        }
        rows = [
            {
                "organisation": organisation,
                "party": party,
                "stage": reject.stage,
                "dataset": storable(reject.dataset),
                "key": storable(reject.key, MAX_KEY_LENGTH),
                "reason": storable(reject.reason),
                "detail": storable(reject.detail),
                "payload": storable(reject.payload),
                "plan_digest": reject.plan_digest,
                "rejected_at": now,
                "times": 1,
            }
            for reject in newest.values()
        ]
        insert = self._database.upsert(rejects)
        again = {
            name: insert.excluded[name]
            for name in ("reason", "detail", "payload", "plan_digest", "rejected_at")
        }
        statement = insert.on_conflict_do_update(
            index_elements=["organisation", "party", "stage", "dataset", "key"],
            set_={**again, "times": rejects.c.times + 1},
        )
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def list(self, organisation: str, limit: int | None = None) -> "builtins.list[StoredReject]":
        """Return what is set aside, newest first."""
        query = (
            sa.select(rejects)
            .where(rejects.c.organisation == organisation)
            .order_by(rejects.c.rejected_at.desc(), rejects.c.key)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [
                StoredReject(
                    party=row.party,
                    reject=Reject(
                        stage=row.stage,
                        dataset=row.dataset,
                        key=row.key,
                        reason=row.reason,
                        detail=row.detail,
                        payload=row.payload,
                        plan_digest=row.plan_digest,
                    ),
                    rejected_at=from_micros(row.rejected_at),
                    times=row.times,
                )
                for row in connection.execute(query)
            ]

    def names(self, organisation: str, party: str, stage: str) -> frozenset[tuple[str, str]]:
        """Return what a stage has set aside of a party: dataset, or kind of object, and key."""
        query = sa.select(rejects.c.dataset, rejects.c.key).where(
            rejects.c.organisation == organisation,
            rejects.c.party == party,
            rejects.c.stage == stage,
        )
        with self._database.read() as connection:
            return frozenset((row.dataset, row.key) for row in connection.execute(query))

    def counts(self, organisation: str) -> Mapping[str, int]:
        """Return how many records are set aside, by reason, most first."""
        query = (
            sa.select(rejects.c.reason, sa.func.count().label("number"))
            .where(rejects.c.organisation == organisation)
            .group_by(rejects.c.reason)
            .order_by(sa.desc("number"))
        )
        with self._database.read() as connection:
            return {row.reason: int(row.number) for row in connection.execute(query)}

    def payloads(
        self,
        organisation: str,
        party: str,
        stage: str,
        dataset: str,
        reasons: Collection[str],
        limit: int,
    ) -> Mapping[str, str]:
        """Return what was set aside for some reasons, by key, the newest first."""
        query = (
            sa.select(rejects.c.key, rejects.c.payload)
            .where(
                rejects.c.organisation == organisation,
                rejects.c.party == party,
                rejects.c.stage == stage,
                rejects.c.dataset == dataset,
                rejects.c.reason.in_(list(reasons)),
            )
            .order_by(rejects.c.rejected_at.desc(), rejects.c.key)
            .limit(limit)
        )
        with self._database.read() as connection:
            return {row.key: row.payload for row in connection.execute(query)}

    def clear(
        self,
        organisation: str,
        party: str,
        stage: str,
        keys: Collection[str],
        dataset: str | None = None,
    ) -> int:
        """Forget rejects of records that are fine by now; return how many there were.

        ``dataset`` (of a source, or a kind of object) narrows it: kinds may share keys.
        """
        wanted = [storable(key, MAX_KEY_LENGTH) for key in keys]
        cleared = 0
        with self._database.write() as connection:
            for start in range(0, len(wanted), KEYS_A_QUERY):
                statement = sa.delete(rejects).where(
                    rejects.c.organisation == organisation,
                    rejects.c.party == party,
                    rejects.c.stage == stage,
                    rejects.c.key.in_(wanted[start : start + KEYS_A_QUERY]),
                )
                if dataset is not None:
                    statement = statement.where(rejects.c.dataset == dataset)
                cleared += connection.execute(statement).rowcount
        return cleared


def storable(text: str, limit: int | None = None) -> str:
    r"""Return a text that every database takes: what is set aside may be anything.

    NUL and lone surrogates become U+FFFD; over ``limit`` characters, the rest becomes a digest.

    >>> storable("a\x00b") == "a\ufffdb"
    True
    """
    clean = text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass")
    whole = clean.decode("utf-16", "replace")
    if limit is None or len(whole) <= limit:
        return whole
    digest = hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
    return f"{whole[: limit - len(digest) - 1]}~{digest}"
