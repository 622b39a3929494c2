"""Which CRM account is whose: its state and its budget of calls go by this name."""

import pytest

from crm_pipeline.settings.organisation import DestinationSettings
from crm_pipeline.wiring.binding import account_name


def name(destination="crm_com", **changes):
    given = {"base_url": "https://crm.example.com", "api_key": {"env": "KEY_OF_ACME"}, **changes}
    return account_name(destination, DestinationSettings.model_validate(given))


def test_one_account_has_one_name():
    assert name() == name()


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key": {"env": "KEY_OF_PLUM"}},
        {"api_key": {"file": "/run/secrets/key"}},
        {"base_url": "https://other.example.com"},
        {"mode": "live"},
        {"destination": "crm_com_classic"},
    ],
)
def test_two_organisations_share_no_account_by_accident(changes):
    assert name(**changes) != name()
