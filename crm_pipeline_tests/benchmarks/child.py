"""One repeat of one case, in a process of its own; prints its figures as JSON."""

import json
import sys
from pathlib import Path

from crm_pipeline_tests.benchmarks.bench import Place
from crm_pipeline_tests.benchmarks.cases import SUITE


def main() -> None:
    """Run the case ``argv[1]`` (``baseline`` or ``case``: ``argv[2]``) at the place ``argv[3]``."""
    measured = SUITE[sys.argv[1]]
    case = measured.baseline if sys.argv[2] == "baseline" else measured.case
    if case is None:
        raise SystemExit(f"{sys.argv[1]} has no baseline")
    place = json.loads(sys.argv[3])
    print(json.dumps(case(Place(**{**place, "home": Path(place["home"])}))))


if __name__ == "__main__":
    main()
