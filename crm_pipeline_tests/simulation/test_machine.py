"""The same world, led by Hypothesis: what breaks a law is shrunk to the fewest steps."""

import tempfile
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crm_pipeline_tests.simulation.history import happen, quiet, sync
from crm_pipeline_tests.simulation.laws import Laws
from crm_pipeline_tests.simulation.world import World

_KILLS = st.none() | st.integers(0, 150)


class Histories(RuleBasedStateMachine):
    """Everything that can happen to one organisation, in any order; laws after every step."""

    world: World
    laws: Laws

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="machine-")

    @initialize(chance=st.randoms(use_true_random=False))
    def begin(self, chance: Random) -> None:
        self.world = World(0, Path(self._folder.name))
        self.world.chance = chance
        self.laws = Laws(self.world)
        self.world.main.sync()

    @rule()
    def change(self) -> None:
        self.world.main.change_customer()
        self.laws.look()

    @rule()
    def add(self) -> None:
        self.world.main.add_customer()
        self.laws.look()

    @rule()
    def pay(self) -> None:
        self.world.main.pay()

    @rule()
    def refund(self) -> None:
        self.world.main.refund()

    @precondition(lambda self: bool(self.world.main.hooks))
    @rule()
    def receive(self) -> None:
        self.world.main.receive()

    @precondition(lambda self: bool(self.world.main.hooks))
    @rule()
    def lose(self) -> None:
        self.world.main.lose_a_webhook()

    @rule()
    def unsubscribe(self) -> None:
        happen(self.world, self.laws, "unsubscribe")

    @rule(seconds=st.sampled_from([0.5, 2.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.turn(seconds)

    @rule(
        is_full=st.booleans(),
        rate=st.sampled_from([0.0, 0.1, 0.4]),
        storage_rate=st.sampled_from([0.0, 0.05]),
        kill_after=_KILLS,
    )
    def sync(self, is_full: bool, rate: float, storage_rate: float, kill_after: int | None) -> None:
        strikes = {"rate": rate, "storage_rate": storage_rate, "kill_after": kill_after}
        with self.world.fate.strikes(**strikes):
            sync(self.laws, self.world.main, is_full=is_full)

    @invariant()
    def no_law_is_broken(self) -> None:
        if hasattr(self, "world"):
            assert self.laws.safety() == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                assert quiet(self.world, self.laws) == []
        finally:
            if hasattr(self, "world"):
                self.world.close()
            self._folder.cleanup()


def test_no_order_of_steps_breaks_a_law() -> None:
    few = settings(
        settings(),
        max_examples=max(4, settings().max_examples // 25),
        stateful_step_count=12,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(Histories, settings=few)
