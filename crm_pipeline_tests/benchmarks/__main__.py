"""Choose cases, run them, print a Markdown table and JSON."""

import argparse
import json
import sys

from crm_pipeline_tests.benchmarks.cases import SUITE
from crm_pipeline_tests.benchmarks.running import machine, run_suite
from crm_pipeline_tests.benchmarks.showing import ratios, table


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"any of: {', '.join(SUITE)} (default: all)")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="write the figures to this file as well")
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(SUITE)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    names = arguments.cases or list(SUITE)
    figures = [
        figure
        for rows in arguments.rows
        for figure in run_suite(names, rows=rows, repeats=arguments.repeats)
    ]
    document = {"machine": machine(), "figures": figures, "ratios": ratios(figures)}
    print(table(document))
    text = json.dumps(document, indent=1)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(f"\n```json\n{text}\n```")
    return 0


if __name__ == "__main__":
    sys.exit(main())
