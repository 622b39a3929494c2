"""The sources: one module or folder each, exporting ``SOURCE``.

Here: finding them. A new source is a new module; nothing else has to name it.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from crm_pipeline.core.ports import SourceSpec
from crm_pipeline.errors import BugError


def load_sources() -> Mapping[str, SourceSpec]:
    """Return every source by name, in the order of their names.

    >>> "loke" in load_sources()
    True
    """
    found: dict[str, SourceSpec] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        spec = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SOURCE", None)
        if not isinstance(spec, SourceSpec) or spec.name in found:
            raise BugError(f"`{__name__}.{module.name}` must export one SOURCE with its own name.")
        found[spec.name] = spec
    return found
