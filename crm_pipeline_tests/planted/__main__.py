"""Plant bugs and see which the tests catch: ``python -m crm_pipeline_tests.planted``.

Exit code 1 when one was missed. Each bug is applied alone, to a copy of the work tree.
"""

import argparse
import dataclasses
import datetime as dt
import json
import sys
import time

from crm_pipeline_tests.planted.reading import Patch, read_patches
from crm_pipeline_tests.planted.running import PlantingError, Verdict, garden
from crm_pipeline_tests.planted.writing import write_page


def main() -> int:
    """Plant what the command line asks for, tell of each, and say how many were caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NN", help="numbers of bugs (default: all)")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    parser.add_argument("--write-docs", action="store_true", help="write the table of the page")
    chosen = parser.parse_args()
    patches = read_patches()
    unknown = set(chosen.only or ()) - {each.number for each in patches}
    if unknown:
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    if chosen.only and chosen.write_docs:
        parser.error("the page tells of all bugs: --write-docs goes without --only")
    if chosen.only:
        patches = [each for each in patches if each.number in chosen.only]
    started = time.monotonic()
    try:
        verdicts = plant(patches)
    except PlantingError as error:
        print(error, file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    missed = [each for each in verdicts if not each.caught_by]
    print(
        f"{len(verdicts)} bugs, {len(verdicts) - len(missed)} caught, {len(missed)} missed,"
        f" {seconds:.0f} s.",
        file=sys.stderr,
    )
    if chosen.json:
        print(json.dumps([dataclasses.asdict(each) for each in verdicts], indent=1))
    if chosen.write_docs:
        write_page(verdicts, seconds, dt.datetime.now(dt.UTC).date())
    return 1 if missed else 0


def plant(patches: list[Patch]) -> list[Verdict]:
    """Run the tests without any bug, then with each one alone."""
    with garden() as copy:
        print("Running the tests without any bug ...", file=sys.stderr, flush=True)
        copy.require_green(sorted({test for each in patches for test in each.tests}))
        verdicts = []
        for patch in patches:
            verdict = copy.judge(patch)
            verdicts.append(verdict)
            print(_line(verdict), file=sys.stderr, flush=True)
    return verdicts


def _line(verdict: Verdict) -> str:
    name = verdict.caught_by.removeprefix("crm_pipeline_tests/")
    told = f"caught by {name}" if name else f"MISSED ({verdict.otherwise or 'every test passed'})"
    return f"{verdict.number}  {verdict.seconds:5.1f} s  {verdict.bug}\n            {told}"


if __name__ == "__main__":
    sys.exit(main())
