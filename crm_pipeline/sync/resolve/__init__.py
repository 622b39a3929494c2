"""Resolve: what landed, rules, consent log and links in; the objects that should exist out.

One module a kind of object. Nothing here reads a source or writes to a CRM.
"""

from crm_pipeline.sync.resolve.contacts import DESIRED_TABLE, ResolveRules, resolve_contacts
from crm_pipeline.sync.resolve.tables import DESIRED_SCHEMA, ResolveReport

__all__ = [
    "DESIRED_SCHEMA",
    "DESIRED_TABLE",
    "ResolveReport",
    "ResolveRules",
    "resolve_contacts",
]
