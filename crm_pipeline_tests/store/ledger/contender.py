"""A second process: migrates a ledger, takes from a budget, holds a lease until it is killed.

Prints one JSON line with the times at which its calls may go and its label, once it is at work.
"""

import datetime as dt
import json
import sys

from crm_pipeline.store.ledger import Ledger, this_process


def main(url, lease_name):
    ledger = Ledger(url, clock=lambda: dt.datetime.now(dt.UTC))
    ledger.migrate()
    times = []
    for _ in range(20):
        now = dt.datetime.now(dt.UTC).timestamp()
        times.append(now + ledger.budgets.lease("account", 2, 50.0))
    with ledger.leases.hold(lease_name, this_process(), 600):
        print(json.dumps({"times": times, "label": this_process()}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
