"""Search every file of every commit for what looks like a real secret.

Usage: scan_secrets.py [repository]. Exit code 1 when something was found. Only where it was found
is shown (blob, kind), never the text itself. Play money of the sandbox and of tests is no finding:
it is marked (``sandbox``, ``crm_test_``, ``example``, ``.invalid``) or says what it is.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

_GUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
#: Kind and shape of the secrets of vendors that this product, or who builds it, may meet.
PATTERNS = {
    "private key": rb"-----BEGIN (?:RSA |EC |OPENSSH |DSA |PGP )?PRIVATE KEY-----",
    "AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": rb"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
    "GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20,}\b",
    "Slack token": rb"\bxox[abprs]-[A-Za-z0-9-]{10,}\b",
    "Google key": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    "Klaviyo key": rb"\bpk_[0-9a-f]{34}\b",
    "HubSpot token": rb"\bpat-(?:na|eu)\d-" + _GUID,
    "Salesforce session": rb"\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}\b",
    "CRM.COM live key": rb"\bcrm_live_" + _GUID,
    "JSON web token": rb"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{20,}\b",
    # Not one that says of itself that it is none.
    "address with a password": (
        rb"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}<>$]+:"
        rb"(?!password@|secret|canary|example)[^\s/:@'\"{}<>$*]{8,}@(?!localhost|127\.|\[::1)"
    ),
}
_SEARCH = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}
_LARGEST = 5_000_000
_GIT = shutil.which("git") or "git"


def blobs(repository: str) -> Iterator[tuple[str, bytes]]:
    """Give every file's content that the repository has ever held, with its id."""
    listing = subprocess.run(
        [_GIT, "-C", repository, "cat-file", "--batch-all-objects", "--batch-check"],
        check=True,
        capture_output=True,
        text=True,
    )
    wanted = [
        name
        for name, kind, size in (line.split() for line in listing.stdout.splitlines())
        if kind == "blob" and int(size) <= _LARGEST
    ]
    with subprocess.Popen(
        [_GIT, "-C", repository, "cat-file", "--batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reading:
        if reading.stdin is None or reading.stdout is None:
            raise RuntimeError("git gives no streams")
        for name in wanted:
            reading.stdin.write(f"{name}\n".encode())
            reading.stdin.flush()
            size = int(reading.stdout.readline().split()[2])
            yield name, reading.stdout.read(size + 1)[:-1]
        reading.stdin.close()


def findings(content: bytes) -> Iterator[str]:
    """Give the kinds of secrets that a text seems to hold.

    >>> list(findings(b"key = 'AKIA" + b"ABCDEFGHIJKLMNOP'"))
    ['AWS key']
    >>> list(findings(b"postgresql+psycopg://user:secret-word@localhost/x"))
    []
    """
    return (kind for kind, pattern in _SEARCH.items() if pattern.search(content))


def main() -> int:
    """Search, tell, and return the exit code."""
    repository = sys.argv[1] if len(sys.argv) > 1 else "."
    searched = found = 0
    for name, content in blobs(repository):
        searched += 1
        for kind in findings(content):
            found += 1
            print(f"{name}: looks like a {kind}; see: git log --all --find-object={name}")
    print(f"{searched:,} files of all commits searched, {found:,} findings.")
    return 1 if found or not searched else 0


if __name__ == "__main__":
    sys.exit(main())
