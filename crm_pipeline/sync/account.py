"""Whose acknowledgements are these? Applied state belongs to exactly one CRM account.

An organisation whose settings name another account (test to live, another address or key
reference) must not take the old account's acknowledgements for the new one's: its people would
never be sent there and every run would be green.
"""

from collections.abc import Mapping

import pyarrow as pa

from crm_pipeline.errors import ConfigurationError
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.workspace import Workspace


def require_same_account(ws: Workspace, organisation: str, binding: DestinationBinding) -> None:
    """Raise ConfigurationError when the applied state belongs to another account.

    While nothing was ever sent, the state belongs to whichever account is configured.
    """
    name = binding.spec.name
    if ws.ledger.accounts.claim(organisation, name, binding.account) == binding.account:
        return
    raise ConfigurationError(
        f"{organisation} has another {name} account than the one that its state belongs to: the"
        " mode, the address or the name of the key was changed.",
        not_done="Nothing was sent.",
        remedy=(
            "Put the old settings back; or start anew in the new account with"
            f" `crm-pipeline orgs move-account --org {organisation} --destination {name} --yes`."
        ),
    )


def move_account(
    ws: Workspace, organisation: str, binding: DestinationBinding
) -> Mapping[str, int]:
    """Forget what the old account acknowledged; the next sync plans everything. Return counts.

    Nothing is read from, sent to or removed in any CRM. Raises ConfigurationError (nothing was
    changed) while writes have no outcome, LeaseHeldError while another process works.
    """
    name = binding.spec.name
    seconds, owner = ws.waits.lease_seconds, this_process()
    with (
        ws.ledger.leases.hold(f"sync:{organisation}", owner, seconds),
        ws.ledger.leases.hold(f"apply:{organisation}:{name}", owner, seconds),
    ):
        unknown = ws.ledger.accounts.counts(organisation, name)["unknown"]
        if unknown:
            raise ConfigurationError(
                f"{unknown:,} writes of {organisation} to the old {name} account have no outcome"
                " yet.",
                not_done="Nothing was changed.",
                remedy=(
                    "Put the old settings back and run"
                    f" `crm-pipeline sync --org {organisation}`, which looks them up."
                ),
            )
        _empty(ws, organisation, f"drift/{name}")
        return ws.ledger.accounts.forget(organisation, name)


def _empty(ws: Workspace, organisation: str, table: str) -> None:
    if ws.lake.exists(organisation, table):
        schema, _ = ws.lake.source(organisation, table, None)
        ws.lake.replace(organisation, table, pa.RecordBatchReader.from_batches(schema, []))
