"""What of an exception may reach Dagster's store."""

import dagster as dg
import pytest

from crm_pipeline.defs.failures import (
    Trouble,
    dagster_failures,
    failure_of_many,
)
from crm_pipeline.errors import CredentialsRefusedError, ThrottledError

ROW = "zoe.canary@example.invalid"


def test_an_unknown_error_tells_its_type_and_not_its_text():
    with pytest.raises(dg.Failure) as caught, dagster_failures():
        raise ValueError(f"bad row {ROW}")
    assert "ValueError" in (caught.value.description or "")
    assert ROW not in (caught.value.description or "")


def test_the_cause_of_an_error_does_not_cross_the_boundary():
    cause = ThrottledError("Slow down.")
    cause.__cause__ = ValueError(ROW)
    with pytest.raises(dg.Failure) as caught, dagster_failures():
        raise cause
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_our_own_error_keeps_its_message_and_says_whether_a_repeat_can_help():
    for error, is_passing in (
        (ThrottledError("Slow."), True),
        (CredentialsRefusedError("No."), False),
    ):
        with pytest.raises(dg.Failure) as caught, dagster_failures():
            raise error
        assert caught.value.description == str(error)
        assert caught.value.allow_retries is is_passing


def test_many_failed_organisations_are_named_in_one_sentence():
    troubles = [
        Trouble(organisation=slug, code="throttled", next_step="retry", message="Slow down.")
        for slug in ("bravo", "alfa")
    ]
    failure = failure_of_many(troubles, total=1000)
    assert (failure.description or "").startswith(
        "2 of 1,000 organisations failed: alfa (throttled), bravo (throttled)."
    )
    assert failure.metadata["failed"].value == 2


def test_one_organisation_alone_keeps_its_own_message():
    trouble = Trouble(organisation="a", code="throttled", next_step="retry", message="Slow down.")
    assert failure_of_many([trouble], total=1).description == "Slow down."
