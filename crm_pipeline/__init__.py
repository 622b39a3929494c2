"""Keeps every organisation's CRM equal to what its loyalty and sampling platforms say.

Here: the version, nothing else.
"""

__version__ = "0.1.0"
