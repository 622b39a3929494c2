"""From the environment to settings and live objects, for one command."""

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.settings import Settings
    from crm_pipeline.wiring import Runtime


#: Set once by the boundary (``failures``); a command never looks at ``os.environ``.
ENVIRON: ContextVar[Mapping[str, str]] = ContextVar("environ")


def current_settings() -> "Settings":
    """Return the settings of the environment that the command was started with."""
    from crm_pipeline.settings import load_settings

    return load_settings(current_environ())


def current_environ() -> Mapping[str, str]:
    """Return the environment that the command was started with."""
    return ENVIRON.get()


@contextmanager
def opened_runtime(progress: "ProgressDisplay | None" = None) -> Iterator["Runtime"]:
    """Open one Runtime for the command and close it after."""
    from crm_pipeline.wiring import Runtime

    report = progress.report if progress is not None else None
    with Runtime(current_settings(), report_progress=report) as runtime:
        yield runtime


def operator_name() -> str:
    """Return who runs this command, for the record of approvals."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
