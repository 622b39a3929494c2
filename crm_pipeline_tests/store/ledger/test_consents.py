"""The consent log."""

from crm_pipeline.store.ledger.engine import KEYS_A_QUERY
from crm_pipeline_tests.store.ledger.samples import ACME, consent


def test_every_answer_is_kept_in_the_order_in_which_it_came(ledger):
    first, second = consent(minutes=5), consent(is_granted=False, at=None)
    third = consent(channel="sms", minutes=1)
    ledger.consents.append(ACME, [first, second])
    ledger.consents.append(ACME, [third, first])
    assert ledger.consents.of(ACME, ["loke:1", "loke:2"]) == {
        "loke:1": [first, second, third, first]
    }
    assert ledger.consents.count(ACME) == 4


def test_people_of_another_organisation_are_not_shown(ledger):
    ledger.consents.append("blue", [consent()])
    assert ledger.consents.of(ACME, ["loke:1"]) == {}
    assert ledger.consents.count(ACME) == 0


def test_no_answers_are_no_work(ledger):
    ledger.consents.append(ACME, [])
    assert ledger.consents.of(ACME, []) == {}


def test_more_people_than_fit_into_one_query_are_found(ledger):
    keys = [f"loke:{number}" for number in range(KEYS_A_QUERY + 1)]
    ledger.consents.append(ACME, [consent(key) for key in keys])
    assert ledger.consents.of(ACME, keys).keys() == set(keys)
