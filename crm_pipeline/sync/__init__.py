"""The use cases, one module a verb. Plain functions on live objects; no Dagster, no settings."""
