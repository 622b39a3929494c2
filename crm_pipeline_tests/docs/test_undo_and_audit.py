"""The page about rejects, undo and audit, compared with the code that it describes."""

from crm_pipeline.cli.rejects import NEXT_STEPS
from crm_pipeline.core.remedies import REMEDIES
from crm_pipeline.sync.audit import ENTRIES
from crm_pipeline.sync.undo import REASONS
from crm_pipeline_tests.docs.reading import table
from crm_pipeline_tests.docs.test_tables import NO_REJECTS, reject_reasons

PAGE = "docs/undo-and-audit.md"


def test_the_remedies_on_the_page_are_those_of_the_code() -> None:
    expected = [
        [f"`{reason}`", NEXT_STEPS[each.next_step], each.advice]
        for reason, each in REMEDIES.items()
    ]
    assert table(PAGE, "remedies") == expected


def test_every_reason_to_set_something_aside_has_a_remedy() -> None:
    assert set(reject_reasons()) - NO_REJECTS - REMEDIES.keys() == set()


def test_every_reason_to_leave_something_in_an_undo_is_on_the_page() -> None:
    assert table(PAGE, "left") == [[f"`{name}`", text] for name, text in REASONS.items()]


def test_every_kind_of_audit_entry_is_on_the_page() -> None:
    assert table(PAGE, "entries") == [[f"`{name}`", text] for name, text in ENTRIES.items()]
