"""Next links lead to the next page of the same server, or nowhere."""

import pytest

from crm_pipeline.core.paging import LONGEST_LINK, LinkTrail, resolve_next_link
from crm_pipeline.errors import ForeignLinkError, MalformedAnswerError, SourceUnstableError

BASE = "https://api.example.com"
ASKED = f"{BASE}/organizations/o/customers?sort=updated"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("/o/c?after=x&sort=updated", f"{BASE}/o/c?after=x&sort=updated"),
        ("o/c?after=x", f"{BASE}/o/c?after=x"),
        ("?after=x", f"{BASE}/organizations/o/customers?after=x"),
        (f"{BASE}/o/c?after=x", f"{BASE}/o/c?after=x"),
        (f"{BASE}:443/o/c?after=x", f"{BASE}:443/o/c?after=x"),
        ("https://API.example.com/o", "https://API.example.com/o"),
        ("/o?after=" + "x" * 10_000, f"{BASE}/o?after=" + "x" * 10_000),
    ],
)
def test_a_link_is_resolved_against_the_source(header: str | None, expected: str | None) -> None:
    assert resolve_next_link(BASE, ASKED, header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "https://evil.example.net/o",
        "//evil.example.net/o",
        "http://api.example.com/o",
        "https://api.example.com:8443/o",
        "https://api.example.com@evil.example.net/o",
        "https://user@api.example.com/o",
        "https://api.example.com.evil.example.net/o",
        "file:///etc/passwd",
        "https://[broken/o",
        "https://api.example.com:x/o",
    ],
)
def test_a_link_to_another_server_is_refused(header: str) -> None:
    with pytest.raises(ForeignLinkError) as caught:
        resolve_next_link(BASE, ASKED, header)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "header", ["/o?after=a b", "/o\r\nX: y", "/ö", "\\\\evil\\o", "/o?" + "x" * LONGEST_LINK]
)
def test_what_is_no_link_is_malformed(header: str) -> None:
    with pytest.raises(MalformedAnswerError):
        resolve_next_link(BASE, ASKED, header)


def test_a_circle_of_links_is_found() -> None:
    trail = LinkTrail()
    for link in ("a", "b", "c"):
        trail.follow(link)
    with pytest.raises(SourceUnstableError, match="circle"):
        trail.follow("b")


def test_an_endless_scan_is_found() -> None:
    trail = LinkTrail(most_pages=3)
    for link in ("a", "b", "c"):
        trail.follow(link)
    with pytest.raises(SourceUnstableError, match="more than 3 pages"):
        trail.follow("d")
