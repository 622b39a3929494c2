"""What `dagster` loads. Importing this module builds nothing; Dagster calls ``defs``."""

import warnings

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Return everything that Dagster shows and runs.

    Dagster calls backfill policies and code references beta; we pin its minor version, so its
    warning tells an operator nothing. Part of it comes when a repository is made, so that is done
    here; Dagster keeps and uses the same one.
    """
    from crm_pipeline.defs.assembly import build_definitions

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        definitions = build_definitions()
        definitions.get_repository_def()
    return definitions
