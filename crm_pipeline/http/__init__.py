"""Calls to other people's servers: one client, three kinds of credentials, one way to try again.

Here: everything that knows httpx. Not here: what any vendor's paths or bodies look like.
"""

from crm_pipeline.http.answer import Answer
from crm_pipeline.http.client import ApiClient
from crm_pipeline.http.credentials import ApiKey, Basic, Credentials, NoCredentials
from crm_pipeline.http.redact import redact
from crm_pipeline.http.seams import Seams
from crm_pipeline.http.tokens import ClientCredentials

__all__ = [
    "Answer",
    "ApiClient",
    "ApiKey",
    "Basic",
    "ClientCredentials",
    "Credentials",
    "NoCredentials",
    "Seams",
    "redact",
]
