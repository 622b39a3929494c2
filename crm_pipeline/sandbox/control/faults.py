"""Faults: rules that say which calls go wrong, when, and how.

A rule matches calls (method, path, organisation, page of a scan), lets ``after`` of them pass,
then acts on ``times`` of them, each with a probability drawn from its own seed.

Here: rules and the choice. Not here: doing what a rule says (``asgi``).
"""

import random
import re
import threading
from typing import Literal

import msgspec

Kind = Literal[
    "status",
    "delay",
    "cut_before",
    "cut_after",
    "truncate",
    "stale_token",
    "next_link",
    "move_rows",
    "shuffle_ties",
    "not_json",
]


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. Fields after ``seed`` belong to the kinds named beside them."""

    kind: Kind
    method: str | None = None
    #: A regular expression searched for in path and query.
    path: str = ""
    #: Slug or id.
    organisation: str | None = None
    #: The page of a scan, counted from 1.
    page: int | None = None
    #: How many matching calls pass first.
    after: int = 0
    #: How many calls it acts on; None for all.
    times: int | None = 1
    probability: float = 1.0
    seed: int = 7
    #: Any kind: wait before doing anything else.
    delay_ms: int = 0
    #: status
    status: int = 500
    content: Literal["json", "html", "text", "empty"] = "json"
    body: str | None = None
    #: Seconds to wait, sent as they are or, with ``retry_after_form`` "date", as a moment.
    retry_after: int | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    #: truncate: bytes really sent, under a Content-Length that promises all.
    keep_bytes: int = 10
    #: next_link
    link: Literal["other_host", "loop", "missing", "empty"] = "other_host"
    host: str = "http://elsewhere.example.net"
    #: move_rows: rows changed, and rows removed, just before this call is answered.
    mutate: int = 0
    delete: int = 0
    pick: Literal["any", "newest", "oldest"] = "any"


class _Armed:
    """A rule with its counters."""

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.pattern = re.compile(rule.path)
        self.seen = 0
        self.acted = 0
        self.chance = random.Random(rule.seed)

    def fires(self, method: str, target: str, names: tuple[str, ...], page: int) -> bool:
        rule = self.rule
        is_meant = (
            (rule.method is None or rule.method.upper() == method)
            and (rule.organisation is None or rule.organisation in names)
            and (rule.page is None or rule.page == page)
            and self.pattern.search(target) is not None
        )
        if not is_meant:
            return False
        self.seen += 1
        if self.seen <= rule.after or (rule.times is not None and self.acted >= rule.times):
            return False
        if rule.probability < 1.0 and self.chance.random() >= rule.probability:
            return False
        self.acted += 1
        return True


class FaultView(msgspec.Struct, frozen=True):
    """A rule and how often it matched and acted."""

    rule: FaultRule
    seen: int
    acted: int


class FaultBox:
    """The rules in force on one server, in the order they were added."""

    def __init__(self) -> None:
        """Start without faults."""
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def add(self, *rules: FaultRule) -> None:
        """Put rules in force. Raises re.error when a path is no regular expression."""
        armed = [_Armed(rule) for rule in rules]
        with self._lock:
            self._armed = [*self._armed, *armed]

    def clear(self) -> None:
        """Take all rules away."""
        with self._lock:
            self._armed = []

    def view(self) -> list[FaultView]:
        """Return the rules with their counters."""
        with self._lock:
            return [FaultView(each.rule, each.seen, each.acted) for each in self._armed]

    @property
    def has_rules(self) -> bool:
        """Say whether any rule is in force."""
        return bool(self._armed)

    def choose(
        self, method: str, target: str, names: tuple[str, ...], page: int
    ) -> tuple[FaultRule, ...]:
        """Return the rules that act on this call, and count it."""
        with self._lock:
            return tuple(
                each.rule for each in self._armed if each.fires(method, target, names, page)
            )
