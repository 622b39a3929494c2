"""What further sources say of a contact, and which contact their people are, for ever."""

from crm_pipeline.store.ledger import Link


def link(source_id, key, email="d1", source="sopost"):
    return Link(source=source, source_id=source_id, key=key, rule="email", email_digest=email)


def test_a_facet_is_replaced_whole_and_by_organisation(ledger):
    ledger.facets.put("acme", "sopost", {"loke:1": "a", "sopost:2": "b"})
    ledger.facets.put("acme", "sopost", {"loke:1": "c"})
    ledger.facets.put("blue", "sopost", {"loke:1": "other"})
    ledger.facets.put("acme", "sopost", {})
    assert ledger.facets.of("acme", "sopost", ["loke:1", "sopost:2", "x"]) == {
        "loke:1": "c",
        "sopost:2": "b",
    }
    assert ledger.facets.keys("acme", "sopost", "sopost:") == ["sopost:2"]
    assert ledger.facets.of("acme", "answers", ["loke:1"]) == {}


def test_a_prefix_is_no_pattern(ledger):
    ledger.facets.put("acme", "sopost", {"a_b:1": "x", "axb:1": "y"})
    assert ledger.facets.keys("acme", "sopost", "a_b:") == ["a_b:1"]


def test_a_link_is_made_once_and_stays(ledger):
    ledger.links.add("acme", [link("p-1", "loke:1")])
    ledger.links.add("acme", [link("p-1", "loke:2"), link("p-2", "loke:1", None)])
    ledger.links.add("acme", [])
    assert ledger.links.of("acme", "sopost", ["p-1", "p-2", "p-3"]) == {
        "p-1": "loke:1",
        "p-2": "loke:1",
    }
    assert ledger.links.people("acme", "sopost", ["loke:1", "loke:2"]) == {"loke:1": ["p-1", "p-2"]}
    assert ledger.links.of("blue", "sopost", ["p-1"]) == {}


def test_links_are_found_by_the_address_of_their_making(ledger):
    made = [link("p-1", "loke:1"), link("p-2", "sopost:p-2"), link("p-3", "loke:3", "d3")]
    ledger.links.add("acme", made)
    ledger.links.add("acme", [link("c-1", "loke:9", "d1", "loke")])
    ledger.links.add("plum", [link("p-9", "loke:8", "d1")])
    found = ledger.links.by_email("acme", "sopost", ["d1", "d3", "d4"])
    assert found == {"d1": frozenset({"loke:1", "sopost:p-2"}), "d3": frozenset({"loke:3"})}


def test_more_keys_than_a_query_takes_are_looked_up_all_the_same(ledger):
    keys = {f"loke:{number}": str(number) for number in range(2_500)}
    ledger.facets.put("acme", "sopost", keys)
    assert ledger.facets.of("acme", "sopost", keys.keys()) == keys
