"""Plan: what has to change in a CRM so that it holds what it should. Nothing is sent here.

``make_plan`` compares, judges and stores; ``load_plan`` and ``iter_changes`` read it back.
A full plan is set work over the lake; an incremental one is keyed work on what was just resolved;
``make_chosen_plan`` is about objects that a person named.
"""

from crm_pipeline.sync.plan.chosen import make_chosen_plan
from crm_pipeline.sync.plan.make import make_kind_plan, make_plan, plan_name, stage_of
from crm_pipeline.sync.plan.stored import (
    PlanAlteredError,
    PlanForgottenError,
    find_changes,
    iter_changes,
    load_plan,
    plans_to_apply,
    require_changes,
    require_exact,
)

__all__ = [
    "PlanAlteredError",
    "PlanForgottenError",
    "find_changes",
    "iter_changes",
    "load_plan",
    "make_chosen_plan",
    "make_kind_plan",
    "make_plan",
    "plan_name",
    "plans_to_apply",
    "require_changes",
    "require_exact",
    "stage_of",
]
