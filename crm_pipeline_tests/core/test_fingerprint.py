"""Fingerprints of desired objects."""

from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.fingerprint import canonical_json, fingerprint

_fields = st.dictionaries(
    st.text(max_size=8),
    st.one_of(st.text(max_size=8), st.booleans(), st.integers(-9, 9)),
    max_size=5,
)


@given(_fields, st.randoms(use_true_random=False))
def test_the_order_of_the_fields_does_not_matter(fields, random):
    items = list(fields.items())
    random.shuffle(items)
    assert fingerprint(dict(items)) == fingerprint(fields)
    assert canonical_json(dict(items)) == canonical_json(fields)


@given(_fields, _fields)
def test_only_equal_objects_have_equal_fingerprints(left, right):
    is_same = canonical_json(left) == canonical_json(right)
    assert (fingerprint(left) == fingerprint(right)) == is_same


def test_true_and_one_are_different_values():
    assert fingerprint({"a": True}) != fingerprint({"a": 1})
    assert fingerprint({"a": "1"}) != fingerprint({"a": 1})


def test_an_absent_field_is_not_an_empty_one():
    assert fingerprint({}) != fingerprint({"email": None}) != fingerprint({"email": ""})


def test_a_fingerprint_never_changes_between_versions_of_the_product():
    assert (
        fingerprint({"first_name": "Zoë", "email_opt_out": True})
        == "4ec247c449d9eddf4a0ae1985c9a71ab"
    )
