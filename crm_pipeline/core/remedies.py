"""What to do about a record that was set aside, by the reason why.

Pure. One table for the command line and the pages. A reason that is not in it is one of the codes
of an error or of an unusable value: ``remedy_for`` says what holds for those.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crm_pipeline.errors import NextStep

#: The reason of a change that would write again what an undo took back.
UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Who or what can help (``next_step``), and how, as one or two sentences."""

    next_step: NextStep
    advice: str


def _retry(advice: str) -> Remedy:
    return Remedy(next_step="retry", advice=advice)


def _data(advice: str) -> Remedy:
    return Remedy(next_step="fix_data", advice=advice)


def _settings(advice: str) -> Remedy:
    return Remedy(next_step="fix_configuration", advice=advice)


REMEDIES: Mapping[str, Remedy] = {
    # Landing and webhooks
    "record_without_id": _data("Ask the source for the record's id; it is landed once it has one."),
    "record_unreadable": _data("Correct the row of the catalogue; the detail names it."),
    "duplicate_id": _data("Take one of the two rows out of the catalogue."),
    "price_invalid": _data("Correct the price in the catalogue."),
    "list_vanished": _settings("Take the list out of `lists`; its tags stay on people."),
    "list_renamed": _settings("See whether it is the right list, then correct its name."),
    "list_short": _retry("Usually the next reading is fine; if so many left, lower `min_share`."),
    "list_empty": _retry("Usually the next reading is fine; an empty list is believed later."),
    "list_cut": _retry("The source ended its answer early; the next reading is usually fine."),
    "list_unclear": _data("Members without an id: ask the source."),
    "list_unread": _retry("Reading it failed; the detail has the code of the error."),
    "unknown_event": _retry("This version does not know the event: upgrade, then retry."),
    "bad_payload": _data("The webhook holds no usable record: ask the source."),
    "not_found": _retry("The source did not know the record; see whether it exists, then retry."),
    "bad_answer": _data("The source's answer about the record is unusable: ask the source."),
    "not_wanted": _settings("Add the dataset to the organisation's file if it is wanted."),
    # Resolving
    "location_unmapped": _settings("Add the place to `purchases.locations`, then retry."),
    "refund_amount_unknown": _data("See at the source how much was refunded; enter it by hand."),
    "time_unreadable": _data("Have the record's time corrected at the source."),
    "currency_unknown": _data("Have the record's currency corrected at the source."),
    "total_missing": _data("Have the payment's total corrected at the source."),
    "total_negative": _data("Have the payment's total corrected at the source."),
    "identity_ambiguous": _data("Merge or correct the contacts with this e-mail, then retry."),
    # Applying
    "invalid_value": _data("The detail names the field: correct it at the source or in `mapping`."),
    "medium_taken": _data("Decide in the CRM whose the e-mail or phone is, then retry."),
    "gone_from_crm": _data("Somebody removed it in the CRM: see who; discard this if rightly so."),
    "contact_not_in_crm": _retry("It waits for its contact and then goes by itself."),
    "purchase_not_in_crm": _retry("It waits for its purchase and then goes by itself."),
    "reference_taken": _data("Look the reference number up in the CRM before anything is sent."),
    "not_cancelled": _data("Cancel the purchase in the CRM by hand, then discard this."),
    "tag_unknown": _settings("Make the tag in the CRM, or correct `lists`; then retry."),
    "tag_not_added": _retry("The CRM took the tags and showed others; retry, then ask the vendor."),
    "tag_not_removed": _retry("The CRM took the tags and showed others; take it off by hand."),
    "not_taken_over": _retry("The CRM does not show the product as sent: look at it, then retry."),
    "product_exists": _settings("Let the synchronisation definition update products, then retry."),
    "row_untold": _retry("The CRM's answer left the product out: look at it, then retry."),
    "participant_missing": _settings("Set `purchases.participant`, then retry."),
    "unit_missing": _settings("Set the destination's `unit`, then retry."),
    "definition_missing": _settings("Set the destination's `product_definition`, then retry."),
    "unbalanced_amounts": Remedy(next_step="report_bug", advice="Report it; nothing was sent."),
    "not_possible_classic": _data("Enter it in the CRM by hand, then discard this."),
    UNDONE: _data(
        "An undo took this back. Correct the source or the mapping; or, if it is wanted after all,"
        " retry it, which writes it again."
    ),
}
#: For a code that has no row: a value that the mapping refuses, or an error's code.
OTHERWISE = _data(
    "Correct the value at the source, or change the organisation's mapping; then retry."
)
_CODES_OF_ERRORS: Mapping[str, Remedy] = {
    "unreachable": _retry("No connection could be made; retry."),
    "answer_lost": _retry("The answer did not come; retry."),
    "throttled": _retry("The other side asked to slow down; retry later."),
    "try_later": _retry("Retry later."),
    "malformed_answer": _data("The source's answer is unusable: ask the source."),
    "source_unstable": _data("The source's answers contradict each other: ask the source."),
    "credentials_refused": _settings("Put the credentials right, see `crm-pipeline doctor`."),
    "organisation_gone": _settings("The source no longer knows the organisation: see its file."),
    "bad_configuration": _settings("Put the organisation's file right, see `crm-pipeline doctor`."),
}


def remedy_for(reason: str) -> Remedy:
    """Return what to do about a reason.

    >>> remedy_for("tag_unknown").next_step, remedy_for("email_invalid").next_step
    ('fix_configuration', 'fix_data')
    >>> remedy_for("bug:KeyError").next_step
    'report_bug'
    """
    if reason.startswith("bug:"):
        return Remedy(next_step="report_bug", advice="Report it; after the repair, retry.")
    return REMEDIES.get(reason) or _CODES_OF_ERRORS.get(reason) or OTHERWISE
