"""The part of ``/_sandbox/`` that both servers share: health, faults, requests, reset.

A vendor adds its own commands to the table. Bodies are JSON objects and are checked: a wrong
field answers 400 with the reason, so that a typo in a test does not pass as "no fault".
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from crm_pipeline.sandbox.control.faults import FaultBox, FaultRule
from crm_pipeline.sandbox.control.log import RequestLog
from crm_pipeline.sandbox.wire import Answer, Request, json_answer

Command = Callable[[Request], Any]
Body = TypeVar("Body")


class AdminError(ValueError):
    """An admin call that cannot be done; the message goes to the caller."""


def read_body(request: Request, shape: type[Body]) -> Body:
    """Decode the body of an admin call; an absent body is an empty object."""
    return msgspec.json.decode(request.body or b"{}", type=shape)


class Admin:
    """Answers admin calls from a table of commands, by method and name."""

    def __init__(
        self,
        vendor: str,
        faults: FaultBox,
        requests: RequestLog,
        commands: dict[tuple[str, str], Command],
    ) -> None:
        """Join the shared commands and the vendor's own."""
        self._vendor = vendor
        self._faults = faults
        self._requests = requests
        self._commands: dict[tuple[str, str], Command] = {
            ("GET", "health"): lambda _: {"status": "ok", "vendor": vendor},
            ("GET", "faults"): lambda _: {"faults": faults.view()},
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("GET", "requests"): self._read_requests,
            ("DELETE", "requests"): lambda _: requests.clear(),
            **commands,
        }

    def answer(self, request: Request) -> Answer:
        """Do one admin call."""
        name = "/".join(request.segments[request.segments.index("_sandbox") + 1 :])
        command = self._commands.get((request.method, name))
        if command is None:
            offered = sorted(" ".join(each) for each in self._commands)
            return json_answer({"error": "unknown command", "offered": offered}, 404)
        try:
            done = command(request)
        except (ValueError, KeyError, msgspec.MsgspecError) as error:
            return json_answer({"error": str(error)}, 400)
        return json_answer({"done": True} if done is None else done)

    def _add_faults(self, request: Request) -> Any:
        given = read_body(request, FaultRule | list[FaultRule])  # type: ignore[arg-type]
        rules = given if isinstance(given, list) else [given]
        try:
            self._faults.add(*rules)
        except re.error as error:
            raise AdminError(f"path is not a regular expression: {error}") from error
        return {"faults": self._faults.view()}

    def _read_requests(self, request: Request) -> Any:
        if request.query.get("summary") in ("1", "true"):
            return self._requests.summary()
        return {"requests": self._requests.entries()}
