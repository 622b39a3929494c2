"""The boundary: whatever a command raises becomes an exit code and a message for a person.

Messages of ours hold no personal data by contract. Of any other exception only the type is shown;
its text and traceback appear with CRM_PIPELINE_DEBUG=1 only.
"""

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import TypedDict

import typer

from crm_pipeline.cli.opening import ENVIRON
from crm_pipeline.errors import (
    EXIT_CONFIGURATION,
    EXIT_OK,
    BugError,
    ConfigurationError,
    CrmPipelineError,
)

EXIT_INTERRUPTED = 130


class ErrorJson(TypedDict):
    """The JSON form of one error."""

    code: str
    exit_code: int
    next_step: str
    happened: str
    not_done: str
    remedy: str


def error_json(error: CrmPipelineError) -> ErrorJson:
    """Return an error for ``--json``."""
    return ErrorJson(
        code=error.code,
        exit_code=error.exit_code,
        next_step=error.next_step,
        happened=error.happened,
        not_done=error.not_done,
        remedy=error.remedy,
    )


def as_our_error(error: BaseException) -> CrmPipelineError:
    """Return our own errors as they are; of any other only its type is kept."""
    if isinstance(error, CrmPipelineError):
        return error
    return BugError(
        f"Something unexpected happened inside crm-pipeline ({type(error).__name__}).",
        not_done="What was finished before stays recorded; the rest was not done.",
        remedy="Please report it. CRM_PIPELINE_DEBUG=1 shows the traceback, which may hold"
        " personal data: read it before you share it.",
    )


def handle_failures(app: typer.Typer, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the application and return its exit code; print what went wrong, if anything did."""
    is_json = "--json" in arguments
    token = ENVIRON.set(environ)
    try:
        command = typer.main.get_command(app)
        result = command(list(arguments), prog_name="crm-pipeline", standalone_mode=False)
    except typer.TyperException as error:
        return _refuse_usage(error, is_json=is_json)
    except (KeyboardInterrupt, typer.Abort):
        result = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary of the process
        if environ.get("CRM_PIPELINE_DEBUG") == "1":
            traceback.print_exc()
        return show_error(as_our_error(error), is_json=is_json)
    finally:
        ENVIRON.reset(token)
    if result == EXIT_INTERRUPTED:
        sys.stderr.write("Interrupted. What was finished stays recorded; run it again to go on.\n")
    return result if isinstance(result, int) else EXIT_OK


def show_error(error: CrmPipelineError, *, is_json: bool) -> int:
    """Print one error, as JSON too when asked for; return its exit code."""
    if is_json:
        sys.stdout.write(json.dumps({"error": error_json(error)}) + "\n")
    for label, text in (
        ("Error", error.happened),
        ("Not done", error.not_done),
        ("Next", error.remedy),
    ):
        if text:
            sys.stderr.write(f"{label}: {text}\n")
    return error.exit_code


def _refuse_usage(error: typer.TyperException, *, is_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(context.get_help() + "\n" if context is not None else "")
        return EXIT_CONFIGURATION
    command = context.command_path if context is not None else "crm-pipeline"
    ours = ConfigurationError(
        error.format_message(),
        not_done="Nothing was done.",
        remedy=f"See `{command} --help`.",
    )
    return show_error(ours, is_json=is_json)
