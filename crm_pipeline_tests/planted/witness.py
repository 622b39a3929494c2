"""A pytest plugin that tells which test caught a planted bug: the first that fails by assertion.

A test that cannot be collected, or that ends in any other exception, has caught nothing: it may
only show that the patched code does not run. ``PLANTED_VERDICT`` names the file for the verdict.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_VERDICT = "PLANTED_VERDICT"


def pytest_exception_interact(node: Any, call: Any, report: Any) -> None:
    """Note a failure; after the first by assertion no further test is needed."""
    verdict = os.environ.get(_VERDICT)
    if verdict is None or call.excinfo is None:
        return
    is_caught = getattr(report, "when", "") == "call" and is_assertion(call.excinfo.value)
    found = {
        "caught_by": node.nodeid if is_caught else "",
        "otherwise": "" if is_caught else f"{node.nodeid}: {call.excinfo.typename}",
    }
    Path(verdict).write_text(json.dumps(found), encoding="utf-8")
    if is_caught:
        node.session.shouldstop = "caught"


def is_assertion(error: BaseException) -> bool:
    """Whether a test failed because of what it states, and not because something broke.

    >>> is_assertion(AssertionError()), is_assertion(ImportError())
    (True, False)
    """
    return all(
        isinstance(each, AssertionError)
        or (isinstance(each, pytest.fail.Exception) and not str(each).startswith("Timeout"))
        for each in _leaves(error)
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
