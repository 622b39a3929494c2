"""The admin endpoints of the fake classic CRM.COM, under ``/crmapi/rest/v2/_sandbox/``."""

from typing import Any

import msgspec

from crm_pipeline.sandbox.classic.vendor import Classic
from crm_pipeline.sandbox.control.admin import Admin, read_body
from crm_pipeline.sandbox.wire import Answer, Request


class ParticipantBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST participants/add."""

    organisation: str
    codes: list[str]
    wallet: str = "0"
    pass_codes: dict[str, str] = {}
    one_time_passwords: list[str] = []


class SeedBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST seed: LOKE's first customers as participants."""

    organisation: str
    customers: int


class AdvanceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST tokens/advance."""

    seconds: float


class ClassicAdmin:
    """Hands admin calls to the same methods that a test calls in process."""

    def __init__(self, classic: Classic) -> None:
        """Steer ``classic``."""
        self._classic = classic
        self._admin = Admin(
            "classic",
            classic.faults,
            classic.requests,
            {
                ("POST", "reset"): lambda _: classic.reset(),
                ("POST", "seed"): self._seed,
                ("POST", "participants/add"): self._add,
                ("POST", "tokens/advance"): self._advance,
                ("POST", "tokens/expire"): lambda _: classic.tokens.expire_all(),
                ("GET", "switches"): lambda _: _plain(classic),
                ("POST", "switches"): self._switch,
                ("GET", "state"): self._state,
            },
        )

    def answer(self, request: Request) -> Answer:
        """Do one admin call."""
        return self._admin.answer(request)

    def _seed(self, request: Request) -> Any:
        body = read_body(request, SeedBody)
        return {"participants": self._classic.seed(body.organisation, body.customers)}

    def _add(self, request: Request) -> Any:
        body = read_body(request, ParticipantBody)
        made = self._classic.add_participant(
            body.organisation,
            body.codes,
            wallet=body.wallet,
            pass_codes=body.pass_codes,
            one_time_passwords=body.one_time_passwords,
        )
        return {"id": made.id, "number": made.number}

    def _advance(self, request: Request) -> None:
        self._classic.tokens.advance(read_body(request, AdvanceBody).seconds)

    def _switch(self, request: Request) -> Any:
        self._classic.switch(**read_body(request, dict[str, Any]))
        return _plain(self._classic)

    def _state(self, request: Request) -> Any:
        key = request.query.get("key") or request.query["organisation"]
        book = self._classic.book(key)
        return {
            "tokens": len(self._classic.tokens),
            "participants": [
                {"id": each.id, "number": each.number, "wallet": each.wallet}
                for each in book.participants
            ],
            "purchases": self._classic.purchases(key),
            "products": book.products.codes(),
        }


def _plain(classic: Classic) -> Any:
    return msgspec.structs.asdict(classic.switches)
