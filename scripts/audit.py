"""Check the locked packages for known vulnerabilities, and never pass without having looked.

Here: counting what pip-audit really audited. Alone it exits 0 when its database cannot be reached.
Exit codes: 0 every locked package audited, none vulnerable; 1 a vulnerability; 75 not audited,
try later.
"""

import json
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

VULNERABLE, TRY_LATER = 1, 75


def locked_names(lock: Path) -> set[str]:
    """Return the packages of the lock file that belong on this machine."""
    lines = (line.split("\\")[0].strip() for line in lock.read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line and line[0].isalnum()]
    return {
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or each.marker.evaluate()
    }


def pip_audit(lock: Path) -> tuple[list[dict], str]:
    """Return what pip-audit says of each package, and what it wrote to its error output."""
    tool = Path(sys.executable).with_name("pip-audit")
    options = ["--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json"]
    done = subprocess.run(
        [tool, *options, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        return json.loads(done.stdout)["dependencies"], done.stderr
    except (ValueError, KeyError):
        return [], done.stderr


def main() -> int:
    """Audit the lock file named on the command line and say what was found."""
    lock = Path(sys.argv[1])
    locked = locked_names(lock)
    answers, said = pip_audit(lock)
    audited = {canonicalize_name(each["name"]) for each in answers if "vulns" in each}
    vulnerable = [each for each in answers if each.get("vulns")]
    for each in vulnerable:
        for found in each["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no release yet"
            print(f"{each['name']} {each['version']}: {found['id']}, fixed in {fixed}")
    missing = locked - audited
    print(f"audited {len(locked & audited)} of {len(locked)} locked packages")
    if vulnerable:
        return VULNERABLE
    if missing or not locked:
        reasons = [each["skip_reason"] for each in answers if "skip_reason" in each]
        reason = (reasons or said.strip().splitlines()[-1:] or ["pip-audit gave no answer"])[0]
        print(f"NOT AUDITED: {len(missing)} packages, nothing is known about them. {reason}")
        return TRY_LATER
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
