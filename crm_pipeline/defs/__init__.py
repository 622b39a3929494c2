"""The Dagster side: assets, ops, jobs, sensors, schedules, checks, metadata.

Here: look up, call a use case, report what came of it. Not here: rules (``core``), use cases
(``sync``), reading the environment (``settings``). A function that Dagster calls has at most 15
lines. No module here may use ``from __future__ import annotations``: it hides the type of an
asset's ``context`` from Dagster 1.13.
"""
