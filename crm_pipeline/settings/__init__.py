"""The environment and the organisation files as frozen, checked values.

Here: reading and checking. Not here: live objects (``wiring``). Nothing is read at import;
``load_settings`` is the only reader of the environment.
"""

from crm_pipeline.settings.environment import Environment, Settings, load_settings, prepare_home
from crm_pipeline.settings.loading import LoadedOrganisations, load_organisations, unusable
from crm_pipeline.settings.organisation import OrganisationSettings, organisation_schema
from crm_pipeline.settings.problems import ConfigProblem
from crm_pipeline.settings.secrets import SecretReader, SecretReference

__all__ = [
    "ConfigProblem",
    "Environment",
    "LoadedOrganisations",
    "OrganisationSettings",
    "SecretReader",
    "SecretReference",
    "Settings",
    "load_organisations",
    "load_settings",
    "organisation_schema",
    "prepare_home",
    "unusable",
]
