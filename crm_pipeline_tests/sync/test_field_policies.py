"""What a plan may do with a field that somebody changed inside the CRM."""

from dataclasses import replace

import pytest

from crm_pipeline.core.policies import FieldPolicy
from crm_pipeline_tests.sync.test_verify import change_in_crm
from crm_pipeline_tests.sync.workbench import Workbench, contact

THEIRS = {"first_name": "Typed", "last_name": "Okafor"}


def rename(bench: Workbench, policy: FieldPolicy, *, is_full: bool, in_crm: str = "Typed") -> str:
    """Let a person and then LOKE change a first name; return what the CRM holds in the end."""
    bench.policy = replace(bench.policy, field_policies={"first_name": policy})
    bench.bring({"loke:1": contact("Mina")})
    change_in_crm(bench, "loke:1", person_name={**THEIRS, "first_name": in_crm})
    bench.verify()
    bench.bring({"loke:1": contact("Minna", gender="FEMALE")}, is_full=is_full)
    remote = bench.remote()["loke:1"]
    assert remote["demographics"]["gender"] == "FEMALE"
    assert bench.plan(is_full=True).size == 0
    first_name: str = remote["first_name"]
    return first_name


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(
    ("policy", "kept"),
    [("always", "Minna"), ("if-ours", "Typed"), ("if-empty", "Typed"), ("never", "Typed")],
)
def test_a_value_that_a_person_typed_is_kept_as_the_policy_says(
    bench: Workbench, policy: FieldPolicy, kept: str, is_full: bool
):
    assert rename(bench, policy, is_full=is_full) == kept


def test_a_field_that_nobody_touched_is_written_under_if_ours(bench: Workbench):
    assert rename(bench, "if-ours", is_full=False, in_crm="Mina") == "Minna"
