"""The Dagster side, against a real instance, a real sandbox, a real ledger and a real lake."""
