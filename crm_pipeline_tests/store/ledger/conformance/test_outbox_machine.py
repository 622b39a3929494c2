"""The outbox against a model: any order of intents, receipts, releases and take-overs."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from crm_pipeline.errors import LeaseHeldError, TryLaterError
from crm_pipeline.store.ledger import Lease, Ledger
from crm_pipeline_tests.store.ledger.conformance.workbench import (
    ANOTHER_CONTAINER,
    CRM,
    KIND,
    SimulatedClock,
    change,
    intent,
    receipt,
)

LEASE_SECONDS = 60
KEYS = tuple(f"loke:{number}" for number in range(4))
PLANS = ("plan-a", "plan-b")
OUTCOMES = ("applied", "unchanged", "rejected", "withheld", "superseded")
some_keys = st.lists(st.sampled_from(KEYS), unique=True, max_size=len(KEYS))
plans = st.sampled_from(PLANS)
_examples = itertools.count(1)


class OutboxMachine(RuleBasedStateMachine):
    """``open``: plan, state and attempt by key. ``done``: outcomes by plan and key."""

    def __init__(self, ledger: Ledger, clock: SimulatedClock) -> None:
        super().__init__()
        self.ledger, self.clock = ledger, clock
        self.organisation = f"org-{next(_examples)}"
        self.open: dict[str, tuple[str, str, int]] = {}
        self.done: dict[tuple[str, str], str] = {}
        self.applied: dict[str, str] = {}
        self.stale: list[Lease] = []
        self.writes = itertools.count(1)
        self.base = 0

    @initialize()
    def start(self) -> None:
        self.lease = self.take()

    def take(self) -> Lease:
        name = f"apply:{self.organisation}"
        return self.ledger.leases._take(name, ANOTHER_CONTAINER, LEASE_SECONDS)

    @rule(keys=some_keys, plan=plans)
    def begin(self, keys: list[str], plan: str) -> None:
        intents = [intent(key, plan) for key in keys]
        try:
            self.ledger.outbox.begin(self.organisation, CRM, intents, self.lease)
        except TryLaterError:
            assert self.open.keys() & set(keys), "nothing was in the way"
            return
        assert not self.open.keys() & set(keys), "a write without an outcome was sent again"
        self.open |= dict.fromkeys(keys, (plan, "sending", 1))

    @rule(keys=some_keys, outcome=st.sampled_from(OUTCOMES))
    def settle(self, keys: list[str], outcome: str) -> None:
        receipts = []
        for key in (key for key in keys if key in self.open):
            plan = self.open.pop(key)[0]
            fingerprint = f"write {next(self.writes)}"
            receipts.append(
                receipt(key, outcome, plan, change=change(key, fingerprint=fingerprint))
            )
            self.done.setdefault((plan, key), outcome)
            if outcome in ("applied", "unchanged", "withheld"):
                self.applied[key] = fingerprint
        self.ledger.outbox.settle(self.organisation, CRM, receipts, self.lease)

    @rule(keys=some_keys, attempts=st.integers(1, 5))
    def lose_the_answer(self, keys: list[str], attempts: int) -> None:
        receipts = [receipt(key, None, attempts=attempts, reason="answer_lost") for key in keys]
        self.ledger.outbox.settle(self.organisation, CRM, receipts, self.lease)
        for key in (key for key in keys if key in self.open):
            self.open[key] = (self.open[key][0], "unknown", attempts)

    @rule(keys=some_keys, plan=plans)
    def release(self, keys: list[str], plan: str) -> None:
        pairs = [(KIND, key) for key in keys]
        self.ledger.outbox.release(self.organisation, CRM, plan, pairs, lease=self.lease)
        for key in keys:
            if key in self.open and self.open[key][0] == plan:
                del self.open[key]

    @rule()
    def take_over(self) -> None:
        self.clock.pass_seconds(LEASE_SECONDS + 1)
        self.stale.append(self.lease)
        self.lease = self.take()
        assert self.lease.generation > self.stale[-1].generation

    @rule(keys=some_keys, plan=plans, outcome=st.sampled_from((*OUTCOMES, None)))
    def wake_up_late(self, keys: list[str], plan: str, outcome: str | None) -> None:
        outbox, organisation = self.ledger.outbox, self.organisation
        keys = keys or ["loke:0"]
        receipts = [receipt(key, outcome, plan) for key in keys]
        for lease in self.stale[-1:]:
            for write in (
                lambda lease=lease: outbox.begin(
                    organisation, CRM, [intent(key, plan) for key in keys], lease
                ),
                lambda lease=lease: outbox.settle(organisation, CRM, receipts, lease),
                lambda lease=lease: outbox.release(
                    organisation, CRM, plan, [(KIND, key) for key in keys], lease=lease
                ),
                lease.renew,
            ):
                try:
                    write()
                except LeaseHeldError:
                    continue
                raise AssertionError("an older generation wrote")

    @invariant()
    def the_outbox_holds_what_was_begun_and_not_ended(self) -> None:
        rows = self.ledger.outbox.unfinished(self.organisation, CRM)
        assert {row.key: (row.plan_digest, row.state, row.attempt) for row in rows} == self.open

    @invariant()
    def every_change_has_one_outcome(self) -> None:
        for plan in PLANS:
            mine = {key: how for (of, key), how in self.done.items() if of == plan}
            counts = self.ledger.outbox.outcomes(self.organisation, CRM, plan)
            assert counts == {how: list(mine.values()).count(how) for how in mine.values()}
            assert self.ledger.outbox.done_keys(self.organisation, CRM, plan, KEYS) == set(mine)

    @invariant()
    def the_applied_state_is_what_was_acknowledged_last(self) -> None:
        found = self.ledger.applied.get_many(self.organisation, CRM, KIND, KEYS)
        assert {key: one.fingerprint for key, one in found.items()} == self.applied

    @invariant()
    def the_base_never_goes_back(self) -> None:
        base = self.ledger.applied.base(self.organisation, CRM)
        assert base >= self.base
        assert bool(base) == bool(self.done)
        self.base = base


def test_the_outbox_does_what_its_model_does(ledger: Ledger, clock: SimulatedClock) -> None:
    run_state_machine_as_test(
        lambda: OutboxMachine(ledger, clock),
        settings=settings(max_examples=8, stateful_step_count=15, deadline=None),
    )
