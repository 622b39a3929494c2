"""The outbox against a model, through any order of intents, receipts, take-overs and repeats."""

import itertools
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from crm_pipeline.core.records import OUTCOME_KINDS
from crm_pipeline.errors import LeaseHeldError, TryLaterError
from crm_pipeline.store.ledger import Ledger
from crm_pipeline_tests.store.ledger.samples import CRM, KIND, header, intent, receipt

KEYS = ("loke:1", "loke:2", "loke:3")
keys = st.lists(st.sampled_from(KEYS), unique=True, min_size=1)
plans = st.sampled_from(("p1", "p2"))
organisations = (f"org-{number}" for number in itertools.count())


class OutboxMachine(RuleBasedStateMachine):
    ledger: Ledger

    @initialize()
    def start(self):
        self.slug = next(organisations)
        self.waiting, self.ended, self.applied = {}, {}, {}
        self.stale = []
        self.lease = None
        for digest in ("p1", "p2"):
            self.ledger.plans.save(header(digest, organisation=self.slug, creates=3), "planned")
        self.take_over()

    @rule()
    def take_over(self):
        """Another worker comes: the one before it was stopped, and may wake again."""
        if self.lease:
            self.stale.append(self.lease)
            self.ledger.leases._give_back(self.lease)
        self.lease = self.ledger.leases._take(f"apply:{self.slug}", "owner", 60)

    @rule(chosen=keys, plan=plans)
    def begin(self, chosen, plan):
        intents = [intent(key, plan=plan) for key in chosen]
        if self.waiting.keys() & set(chosen):
            with pytest.raises(TryLaterError):
                self.ledger.outbox.begin(self.slug, CRM, intents, self.lease)
            return
        self.ledger.outbox.begin(self.slug, CRM, intents, self.lease)
        self.waiting |= dict.fromkeys(chosen, (plan, "sending"))

    @rule(chosen=keys, plan=plans, outcome=st.sampled_from((*OUTCOME_KINDS, None)))
    def settle(self, chosen, plan, outcome):
        receipts = [receipt(key, outcome, plan=plan, name=f"{plan} {outcome}") for key in chosen]
        self.ledger.outbox.settle(self.slug, CRM, receipts, self.lease)
        for key in chosen:
            if outcome is None:
                if key in self.waiting:
                    self.waiting[key] = (self.waiting[key][0], "unknown")
                continue
            self.waiting.pop(key, None)
            self.ended.setdefault((plan, key), outcome)
            if outcome in ("applied", "unchanged", "withheld"):
                self.applied[key] = f"{plan} {outcome}"

    @rule(chosen=keys, plan=plans)
    def release(self, chosen, plan):
        pairs = [(KIND, key) for key in chosen]
        self.ledger.outbox.release(self.slug, CRM, plan, pairs, self.lease)
        for key in chosen:
            if self.waiting.get(key, ("",))[0] == plan:
                del self.waiting[key]

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def a_stale_worker_wakes(self, key, data):
        if not self.stale:
            return
        lease, outbox = data.draw(st.sampled_from(self.stale)), self.ledger.outbox
        for work in (
            lambda: outbox.begin(self.slug, CRM, [intent(key)], lease),
            lambda: outbox.settle(self.slug, CRM, [receipt(key, name="stale")], lease),
            lambda: outbox.release(self.slug, CRM, "p1", [(KIND, key)], lease),
        ):
            with pytest.raises(LeaseHeldError):
                work()

    @invariant()
    def the_ledger_says_what_the_model_says(self):
        if not hasattr(self, "slug"):
            return
        rows = self.ledger.outbox.unfinished(self.slug, CRM)
        assert {row.key: (row.plan_digest, row.state) for row in rows} == self.waiting
        found = self.ledger.applied.get_many(self.slug, CRM, KIND, KEYS)
        assert {key: each.fields["first_name"] for key, each in found.items()} == self.applied
        assert self.ledger.applied.count(self.slug, CRM, KIND) == len(self.applied)
        for plan in ("p1", "p2"):
            mine = {key: end for (digest, key), end in self.ended.items() if digest == plan}
            assert self.ledger.outbox.outcomes(self.slug, CRM, plan) == Counter(mine.values())
            assert self.ledger.outbox.done_keys(self.slug, CRM, plan, KEYS) == mine.keys()
        done = sum(plan == "p2" for plan, _ in self.ended)  # p1 is superseded
        state = self.ledger.organisations.status(self.slug)
        assert (state.outbox_pending, state.unknown) == (3 - done, len(self.waiting))


def test_the_outbox_follows_its_model(file_url, opened, clock):
    class Machine(OutboxMachine):
        ledger = opened(file_url, clock)

    examples = settings.default.max_examples // 5
    chosen = settings(max_examples=examples, stateful_step_count=15)
    run_state_machine_as_test(Machine, settings=chosen)
