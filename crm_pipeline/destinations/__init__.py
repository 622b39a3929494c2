"""The destinations: one module or folder each, exporting ``DESTINATION``.

Here: finding them. A new destination is a new module; nothing else has to name it.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from crm_pipeline.core.ports import DestinationSpec
from crm_pipeline.errors import BugError


def load_destinations() -> Mapping[str, DestinationSpec]:
    """Return every destination by name, in the order of their names.

    >>> "crm_com" in load_destinations()
    True
    """
    found: dict[str, DestinationSpec] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        spec = getattr(importlib.import_module(f"{__name__}.{module.name}"), "DESTINATION", None)
        if not isinstance(spec, DestinationSpec) or spec.name in found:
            raise BugError(
                f"`{__name__}.{module.name}` must export one DESTINATION with its own name."
            )
        found[spec.name] = spec
    return found
