"""The worst of several exit codes."""

import itertools

from crm_pipeline.cli.exits import BY_SEVERITY, worst
from crm_pipeline.errors import CrmPipelineError


def test_the_worst_does_not_depend_on_the_order() -> None:
    for codes in itertools.permutations((0, 65, 70, 75, 78), 3):
        assert worst(codes) == worst(sorted(codes))


def test_every_error_has_a_place_in_the_order() -> None:
    def all_errors(kind: type[CrmPipelineError]) -> list[type[CrmPipelineError]]:
        return [kind, *(each for below in kind.__subclasses__() for each in all_errors(below))]

    assert {kind.exit_code for kind in all_errors(CrmPipelineError)} <= set(BY_SEVERITY)
