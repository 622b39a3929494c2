"""Trying again what was set aside, and striking it off the list.

``retry`` does for the chosen rejects what their stage did: an event of the inbox is drained again,
a record of a source is read again, what could not be resolved is resolved again, what a CRM refused
is planned and applied again. Only objects of the chosen rejects are sent, unless something was
landed anew: then everything new goes, as in a sync. ``discard`` removes a reject, never data.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from crm_pipeline.core.purchases import refund_key
from crm_pipeline.core.remedies import UNDONE
from crm_pipeline.errors import ConfigurationError, CrmPipelineError
from crm_pipeline.store.ledger import StoredReject, this_process
from crm_pipeline.store.ledger.inbox import REJECT_KEY
from crm_pipeline.sync.apply import apply_plan, recover_writes
from crm_pipeline.sync.audit import key_digest, record, without_persons
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding
from crm_pipeline.sync.drain import drain
from crm_pipeline.sync.plan import find_changes, make_chosen_plan
from crm_pipeline.sync.resolve import Resolver, resolvers
from crm_pipeline.sync.run import SyncReport, deliver, pull_source
from crm_pipeline.sync.workspace import Workspace

#: What was worked out, by resolver, and the kinds of objects that it makes.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("contact",),
    "memberships": ("membership",),
    "purchases": ("purchase", "refund"),
    "products": ("product",),
}
#: Which resolvers look at a dataset; one that is not named here concerns all of them.
_RESOLVED_BY: Mapping[str, tuple[str, ...]] = {
    "customers": ("contacts",),
    "list_members": ("memberships",),
    "payments": ("purchases",),
    "orders": ("contacts", "purchases"),
    "products": ("products",),
}

#: ``done``: the record went through, or nothing is left to do. ``refused``: set aside again.
#: ``waiting``: it could not be tried to the end, the errors say why.
Ending = Literal["done", "refused", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of one reject. ``reason`` is why it stays; empty when it does not."""

    stored: StoredReject
    ending: Ending
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class RetryReport:
    """What became of each chosen reject, in their order, and what went wrong on the way."""

    organisation: str
    retried: tuple[Retried, ...] = ()
    errors: list[CrmPipelineError] = field(default_factory=list)

    @property
    def staying(self) -> int:
        """Rejects that did not go away."""
        return sum(each.ending != "done" for each in self.retried)


def choose(
    stored: Sequence[StoredReject],
    keys: Collection[str] = (),
    *,
    reason: str | None = None,
    is_all: bool = False,
) -> list[StoredReject]:
    """Return the rejects with some keys, or of a reason, or all of them.

    Raises ConfigurationError when nothing was chosen, two ways at once, or a key has no reject.
    """
    if bool(keys) + (reason is not None) + is_all != 1:
        raise ConfigurationError(
            "Which rejects are meant is not clear.",
            not_done="Nothing was done.",
            remedy="Give keys, or --reason, or --all.",
        )
    unknown = sorted(set(keys) - {each.reject.key for each in stored})
    if unknown:
        raise ConfigurationError(
            f"Nothing is set aside under {', '.join(map(repr, unknown))}.",
            not_done="Nothing was done.",
            remedy="See `crm-pipeline rejects list`.",
        )
    return [
        each
        for each in stored
        if is_all
        or each.reject.key in keys
        or (reason is not None and each.reject.reason == reason)
    ]


def discard(
    ws: Workspace, organisation: str, chosen: Iterable[StoredReject], *, by: str, why: str
) -> int:
    """Strike rejects off the list, each with an entry in the audit log; return how many.

    Raises ConfigurationError (nothing was done) when ``why`` seems to name a person. What is set
    aside again later is listed again.
    """
    said = without_persons(why)
    number = 0
    for each in chosen:
        reject = each.reject
        details = {
            "party": each.party,
            "stage": reject.stage,
            "dataset": reject.dataset,
            "key_digest": key_digest(reject.key),
            "reason": reject.reason,
            "why": said,
        }
        record(ws, organisation, by=by, what="reject_discarded", details=details)
        place = (organisation, each.party, reject.stage, [reject.key], reject.dataset)
        number += ws.ledger.rejects.clear(*place)
    return number


def retry(
    ws: Workspace, organisation: OrganisationBinding, chosen: Sequence[StoredReject], *, by: str
) -> RetryReport:
    """Try the chosen rejects again; never raises for a stage that fails.

    Raises LeaseHeldError while another process works for the organisation. Safe to repeat.
    """
    report = RetryReport(organisation=organisation.slug)
    seconds = ws.waits.lease_seconds
    with ws.ledger.leases.hold(f"sync:{organisation.slug}", this_process(), seconds):
        work = _Retry(ws, organisation, chosen, report.errors, by)
        work.run()
        report.retried = tuple(work.endings())
    details = {"rejects": len(report.retried), "staying": report.staying}
    record(ws, organisation.slug, by=by, what="rejects_retried", details=details)
    return report


class _Retry:
    def __init__(
        self,
        ws: Workspace,
        organisation: OrganisationBinding,
        chosen: Sequence[StoredReject],
        errors: list[CrmPipelineError],
        by: str,
    ) -> None:
        self._ws = ws
        self._organisation = organisation
        self._slug = organisation.slug
        self._chosen = chosen
        self._errors = errors
        self._by = by

    def run(self) -> None:
        """Go through the stages in their order; each failure is kept."""
        has_landed = self._land()
        resolved = self._resolve(has_landed=has_landed)
        for name, binding in self._organisation.destinations.items():
            keys = self._keys(name, binding, resolved)
            if keys or has_landed:
                self._kept(partial(self._deliver, binding, keys, has_landed=has_landed))

    # -- landing ---------------------------------------------------------------------------------

    def _land(self) -> bool:
        """Drain parked events and read sources again; return whether anything may have landed."""
        rejects = [each for each in self._chosen if each.reject.stage == "land"]
        numbers = _numbers(rejects)
        records = [each for each in rejects if not _is_event(each)]
        for source, some in _grouped(records, lambda each: each.party).items():
            self._kept(partial(self._read_again, source, some))
        if numbers:
            self._ws.ledger.inbox.retry(self._slug, numbers)
            self._kept(self._drain)
        return bool(rejects)

    def _read_again(self, source: str, rejects: Sequence[StoredReject]) -> None:
        binding = self._organisation.sources.get(source)
        if binding is None:
            return
        names = {f"{source}/{each.reject.dataset}" for each in rejects}
        report = SyncReport(organisation=self._slug)
        pull_source(self._ws, self._slug, binding, report, names, is_full=True)
        read = {name.partition("/")[2] for name in report.pulls}
        self._clear_if_not_again([each for each in rejects if each.reject.dataset in read])

    def _drain(self) -> None:
        report = drain(self._ws, self._organisation)
        self._errors += report.errors

    def _clear_if_not_again(self, rejects: Sequence[StoredReject]) -> None:
        """Everything was looked at: what was not refused once more is fine, or is there no more."""
        now = _by_name(self._ws.ledger.rejects.list(self._slug))
        for each in rejects:
            still = now.get(_name(each))
            if still is not None and not _is_again(still, each):
                self._clear(each)

    def _clear(self, each: StoredReject) -> None:
        reject = each.reject
        place = (self._slug, each.party, reject.stage, [reject.key], reject.dataset)
        self._ws.ledger.rejects.clear(*place)

    # -- resolving -------------------------------------------------------------------------------

    def _resolve(self, *, has_landed: bool) -> set[str]:
        """Resolve what concerns the chosen rejects as a whole; return the names of what was."""
        rejects = [each for each in self._chosen if each.reject.stage == "resolve"]
        wanted = {name for each in rejects for name in self._resolvers_of(each)}
        done: set[str] = set()
        for name, resolve in resolvers(self._organisation).items():
            if name in wanted or has_landed:
                self._kept(partial(self._resolve_one, name, resolve, name in wanted, done))
        resolved = done & wanted
        seen = [each for each in rejects if self._resolvers_of(each)]
        self._clear_if_not_again([each for each in seen if self._resolvers_of(each) <= resolved])
        return resolved

    def _resolve_one(self, name: str, resolve: Resolver, is_full: bool, done: set[str]) -> None:
        resolve(self._ws, is_full=is_full)
        done.add(name)

    def _resolvers_of(self, each: StoredReject) -> set[str]:
        """Return the names of the resolvers that look at a reject's record."""
        names = _RESOLVED_BY.get(each.reject.dataset, tuple(_KINDS))
        return set(resolvers(self._organisation)).intersection(names)

    # -- delivering ------------------------------------------------------------------------------

    def _keys(
        self, destination: str, binding: DestinationBinding, resolved: Collection[str]
    ) -> dict[str, set[str]]:
        """Return the keys to plan again, by kind in the order of sending."""
        found: dict[str, set[str]] = {kind: set() for kind in binding.kinds}
        for each in self._chosen:
            key, stage = each.reject.key, each.reject.stage
            if stage == "apply" and each.party == destination and each.reject.dataset in found:
                found[each.reject.dataset].add(key)
            if stage == "resolve":
                for name in self._resolvers_of(each).intersection(resolved):
                    for kind in set(_KINDS[name]) & found.keys():
                        found[kind].add(refund_key(key) if kind == "refund" else key)
        return {kind: keys for kind, keys in found.items() if keys}

    def _deliver(
        self, binding: DestinationBinding, keys: Mapping[str, set[str]], *, has_landed: bool
    ) -> None:
        with closing(binding.connect()) as api:
            recover_writes(self._ws, self._slug, binding, api)
            for kind, some in keys.items():
                self._release(binding, kind, some)
                header = make_chosen_plan(self._ws, self._slug, binding, kind, some)
                planned = find_changes(self._ws, self._slug, binding.spec.name, header.digest, some)
                self._forget_what_needs_nothing(binding, kind, {each.key for each in planned})
                if header.size:
                    work = partial(apply_plan, self._ws, self._slug, binding, api, header)
                    self._kept(partial(work, by=self._by))
        if has_landed:
            report = SyncReport(organisation=self._slug)
            try:
                deliver(self._ws, self._slug, binding, report, is_full=False)
            finally:
                self._errors += report.errors

    def _release(self, binding: DestinationBinding, kind: str, keys: Collection[str]) -> None:
        """A retry of what an undo holds back says that it is wanted again."""
        wanted = {
            each.reject.key
            for each in self._chosen
            if (each.reject.stage, each.reject.dataset, each.reject.reason)
            == ("apply", kind, UNDONE)
        }
        self._ws.ledger.holds.release(
            self._slug, binding.spec.name, kind, sorted(wanted.intersection(keys))
        )

    def _forget_what_needs_nothing(
        self, binding: DestinationBinding, kind: str, planned: Collection[str]
    ) -> None:
        """What is desired is there, or nothing is desired any more: there is nothing to try."""
        for each in self._chosen:
            is_its = (each.party, each.reject.stage, each.reject.dataset) == (
                binding.spec.name,
                "apply",
                kind,
            )
            if is_its and each.reject.key not in planned:
                self._clear(each)

    def _kept(self, work: Callable[[], object]) -> None:
        """Do one piece; keep its failure, so that the next piece is still done."""
        try:
            work()
        except CrmPipelineError as error:
            self._errors.append(error)

    # -- the end ---------------------------------------------------------------------------------

    def endings(self) -> Iterable[Retried]:
        """Tell what became of each chosen reject."""
        listed = self._ws.ledger.rejects.list(self._slug)
        now, states = _by_name(listed), self._ws.ledger.inbox.states(_numbers(self._chosen))
        newer = {each.reject.key: each for each in listed if _name(each) not in self._known()}
        for each in self._chosen:
            key = each.reject.key
            still = now.get(_name(each)) or newer.get(key) or newer.get(refund_key(key))
            if still is not None:
                ending: Ending = "refused" if _is_again(still, each) else "waiting"
                yield Retried(stored=each, ending=ending, reason=still.reject.reason)
            elif _is_event(each) and states.get(_number(each)) == "pending":
                yield Retried(stored=each, ending="waiting", reason="pending")
            else:
                yield Retried(stored=each, ending="done")

    def _known(self) -> set[tuple[str, str, str, str]]:
        return {_name(each) for each in self._chosen}


def _name(each: StoredReject) -> tuple[str, str, str, str]:
    return each.party, each.reject.stage, each.reject.dataset, each.reject.key


def _is_again(now: StoredReject, once: StoredReject) -> bool:
    """Whether something was set aside once more since ``once`` was read."""
    return (_name(now), now.times, now.rejected_at) != (_name(once), once.times, once.rejected_at)


def _by_name(
    rejects: Iterable[StoredReject],
) -> dict[tuple[str, str, str, str], StoredReject]:
    return {_name(each): each for each in rejects}


def _is_event(each: StoredReject) -> bool:
    number = each.reject.key.removeprefix(REJECT_KEY)
    return each.reject.key.startswith(REJECT_KEY) and number.isdigit()


def _number(each: StoredReject) -> int:
    return int(each.reject.key.removeprefix(REJECT_KEY))


def _numbers(rejects: Iterable[StoredReject]) -> list[int]:
    return [_number(each) for each in rejects if _is_event(each)]


def _grouped(
    rejects: Iterable[StoredReject], name_of: Callable[[StoredReject], str]
) -> dict[str, list[StoredReject]]:
    found: dict[str, list[StoredReject]] = {}
    for each in rejects:
        found.setdefault(name_of(each), []).append(each)
    return found
