"""One medium, one owner: the oldest customer, whatever the order of arrival."""

import random

from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.media import media_digests, withheld_fields
from crm_pipeline.core.records import Fields

keys = st.integers(0, 30).map(lambda number: f"loke:{number:02d}")
contacts = st.dictionaries(
    keys,
    st.fixed_dictionaries(
        {},
        optional={
            "email": st.sampled_from(["a@example.com", "A@example.com", "b@example.com"]),
            "phone_country": st.sampled_from(["AUS", "NZL"]),
            "phone_number": st.sampled_from(["1", "2"]),
        },
    ),
)


@given(contacts, st.integers())
def test_the_owner_does_not_depend_on_the_order_of_arrival(found: dict[str, Fields], seed: int):
    shuffled = list(found.items())
    random.Random(seed).shuffle(shuffled)
    assert withheld_fields(dict(shuffled)) == withheld_fields(found)


@given(contacts)
def test_every_medium_is_carried_by_exactly_one_contact(found: dict[str, Fields]):
    withheld = withheld_fields(found)
    carried = [
        digest
        for key, fields in found.items()
        for medium, digest in media_digests(fields).items()
        if medium not in {name.split("_")[0] for name in withheld.get(key, ())}
    ]
    wanted = {digest for fields in found.values() for digest in media_digests(fields).values()}
    assert sorted(carried) == sorted(wanted)


def test_the_smallest_key_keeps_a_shared_email_in_any_case():
    shared = {"loke:2": {"email": "Mina@example.com"}, "loke:1": {"email": "mina@EXAMPLE.com"}}
    assert withheld_fields(shared) == {"loke:2": ("email",)}


def test_the_same_digits_in_two_countries_are_two_phones():
    families: dict[str, Fields] = {
        "loke:1": {"phone_country": "AUS", "phone_number": "400000001"},
        "loke:2": {"phone_country": "NZL", "phone_number": "400000001"},
    }
    assert withheld_fields(families) == {}
