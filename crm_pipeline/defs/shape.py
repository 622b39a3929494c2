"""What all assets share: keys, policies, owners, launchpad switches."""

import dagster as dg
from pydantic import Field

CONTACTS = dg.AssetKey(["contacts"])
MEMBERSHIPS = dg.AssetKey(["memberships"])
PURCHASES = dg.AssetKey(["purchases"])
PRODUCTS = dg.AssetKey(["products"])
#: What the CRMs should hold, in the order in which it is worked out.
DESIRED = [CONTACTS, MEMBERSHIPS, PURCHASES, PRODUCTS]
OWNERS = ["team:crm-pipeline"]

#: Organisations of a backfill that share a run, by stage. They differ on purpose: Dagster puts
#: stages with the same policy into one run, where an organisation that fails at the first stage
#: would keep all others of its run from the later ones. With a policy of its own each stage has
#: its own runs, and an organisation goes on as soon as it is through the stage before.
ORGANISATIONS_PER_RUN = {"landed": 25, "desired": 50, "plan": 40, "applied": 20, "drift": 10}


def policy_for(stage: str) -> dg.BackfillPolicy:
    """Return how many organisations of a backfill share a run of this stage."""
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=ORGANISATIONS_PER_RUN[stage])


class StageConfig(dg.Config):
    """How a stage is run by hand."""

    is_full: bool = Field(
        default=False,
        description="Read everything again and compare everything, not only what is new.",
    )
