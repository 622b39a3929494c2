"""The receiver as an ASGI application: what each path answers.

The order of one webhook: which hook, limits, proof over the raw bytes, what it says, stored,
answered. Nothing is acknowledged before it is on the disk. An answer has no body: whoever sends
something wrong learns nothing from it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from crm_pipeline.core.signature import is_loke_signed, is_secret
from crm_pipeline.errors import CrmPipelineError, SecretMissingError
from crm_pipeline.store.ledger import Appended, Received
from crm_pipeline.store.ledger.times import Clock
from crm_pipeline.webhooks.events import (
    Event,
    body_digest,
    crm_com_event,
    loke_event,
    sopost_event,
)
from crm_pipeline.webhooks.figures import CONTENT_TYPE, Figures
from crm_pipeline.webhooks.reading import BodyReader
from crm_pipeline.webhooks.refusals import Refused
from crm_pipeline.wiring.hooks import Hook, HookDirectory

SIGNATURE_HEADER = "x-event-signature"
#: An unknown hook or a wrong proof makes the files be looked at again, at most this often.
_LOOK_AGAIN_SECONDS = 0.1
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_LOOPBACK = ("127.0.0.1", "::1")

_IsProved = Callable[[list[str]], bool]


class Tell(Protocol):
    """Logs one line."""

    def __call__(self, action: str, **details: str | int | float) -> None:
        """Log an action with names, counts and digests."""


class Stores(Protocol):
    """Stores one event durably."""

    async def store(self, received: Received) -> Appended:
        """Return once it is on the disk; raise Refused when it is not."""


class ReportsHealth(Protocol):
    """Says whether events can be stored."""

    @property
    def problem(self) -> str:
        """The code of what is wrong, empty when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the application works with. ``probe`` tries a durable write."""

    hooks: HookDirectory
    committer: Stores
    reader: BodyReader
    figures: Figures
    health: ReportsHealth
    probe: Callable[[], None]
    tell: Tell
    clock: Clock


class WebhookApp:
    """The public listener: webhooks; health for callers on this machine only."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._router = Router(
            [
                Route("/webhooks/loke/{organisation}", self._loke, methods=["POST"]),
                Route(
                    "/webhooks/sopost/{organisation}/{secret:path}", self._sopost, methods=["POST"]
                ),
                Route(
                    "/webhooks/crm-com/{organisation}/{secret:path}",
                    self._crm_com,
                    methods=["POST"],
                ),
                *_health_routes(parts, is_open=_is_from_here),
            ],
            redirect_slashes=False,
            default=_nothing_here,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._router(scope, receive, send)

    async def _loke(self, request: Request) -> Response:
        return await self._answer(request, "loke", self._take_loke)

    async def _sopost(self, request: Request) -> Response:
        return await self._answer(request, "sopost", self._take_sopost)

    async def _crm_com(self, request: Request) -> Response:
        return await self._answer(request, "crm_com", self._take_crm_com)

    async def _answer(
        self, request: Request, source: str, take: Callable[[Request], Awaitable[bool]]
    ) -> Response:
        """Do it, count it; whatever breaks inside is our trouble and answered with 503."""
        started = time.perf_counter()
        status, cause = 503, "bug"
        try:
            is_new = await take(request)
            status, cause = 200, "new" if is_new else "repeated"
        except Refused as refused:
            status, cause = refused.status, refused.cause
            self._tell_refusal(request, source, refused)
        except Exception as error:  # noqa: BLE001 - its text may hold what was received
            self._tell_refusal(request, source, Refused(503, "bug", type(error).__name__))
        finally:
            self._parts.figures.answered(source, status, cause, time.perf_counter() - started)
        headers = {"connection": "close"} if status >= 400 else None
        return Response(status_code=status, headers=headers)

    async def _take_loke(self, request: Request) -> bool:
        organisation = request.path_params["organisation"]
        await self._require_hook(organisation, "loke")
        body = await self._parts.reader.read(request)
        headers = request.headers.getlist(SIGNATURE_HEADER)
        hook = await self._proved(
            organisation, "loke", lambda secrets: is_loke_signed(body, headers, secrets), 401
        )
        return await self._keep(hook, loke_event(body, hook.organisation_id), body)

    async def _take_sopost(self, request: Request) -> bool:
        hook = await self._proved_by_path(request, "sopost")
        body = await self._parts.reader.read(request)
        return await self._keep(hook, sopost_event(body), body)

    async def _take_crm_com(self, request: Request) -> bool:
        hook = await self._proved_by_path(request, "crm_com")
        body = await self._parts.reader.read(request)
        return await self._keep(hook, crm_com_event(body), body)

    async def _proved_by_path(self, request: Request, source: str) -> Hook:
        given = request.path_params["secret"]
        organisation = request.path_params["organisation"]
        return await self._proved(
            organisation, source, lambda secrets: is_secret(given, secrets), 404
        )

    async def _proved(
        self, organisation: str, source: str, is_proved: _IsProved, status: int
    ) -> Hook:
        """Return the hook whose secret proves the request.

        One that proves nothing makes the files be looked at again: a secret may just have been
        replaced. Raises Refused.
        """
        hook = await self._require_hook(organisation, source)
        if is_proved(_secrets_of(hook)):
            return hook
        await self._look_again()
        hook = await self._require_hook(organisation, source)
        if is_proved(_secrets_of(hook)):
            return hook
        if len(_secrets_of(hook)) < len(hook.secrets):
            raise Refused(503, "misconfigured", "secret_missing")
        raise Refused(status, "bad_proof")

    async def _require_hook(self, organisation: str, source: str) -> Hook:
        """Return a configured hook. Raises Refused: 404, or 503 when its file may be unreadable."""
        hooks = self._parts.hooks
        hook = hooks.find(organisation, source)
        if hook is None:
            await self._look_again()
            hook = hooks.find(organisation, source)
        if hook is not None:
            return hook
        if not hooks.is_whole:
            raise Refused(503, "misconfigured", "unreadable files")
        raise Refused(404, "unknown")

    async def _look_again(self) -> None:
        """Return once the files were looked at after this call: no refusal comes from old ones.

        One look serves all who wait for it, so that a flood of refusals costs no more than one.
        """
        called_at = time.monotonic()
        async with self._looking:
            if self._looked_at >= called_at:
                return
            await asyncio.sleep(self._looked_at + _LOOK_AGAIN_SECONDS - time.monotonic())
            self._looked_at = time.monotonic()
            await asyncio.to_thread(self._parts.hooks.refresh)

    async def _keep(self, hook: Hook, event: Event, body: bytes) -> bool:
        """Store an event; return whether it is new."""
        received = Received(
            organisation=hook.organisation,
            source=hook.source,
            event=event.name,
            entity_id=event.entity_id,
            dedup=event.dedup,
            body=body,
            received_at=self._parts.clock(),
        )
        kept = await self._parts.committer.store(received)
        if not event.is_known:
            self._parts.figures.unknown_event(hook.source)
        self._parts.tell(
            "received" if kept.is_new else "received again",
            organisation=hook.organisation,
            source=hook.source,
            event=event.name,
            digest=body_digest(body),
            number=kept.number,
        )
        return kept.is_new

    def _tell_refusal(self, request: Request, source: str, refused: Refused) -> None:
        """Log a refusal; the organisation only where the path names one of ours."""
        organisation = request.path_params["organisation"]
        is_ours = self._parts.hooks.find(organisation, source) is not None
        self._parts.tell(
            "cross_tenant_webhook" if refused.cause == "cross_tenant" else "refused",
            organisation=organisation if is_ours else "",
            source=source,
            status=refused.status,
            cause=refused.cause,
            detail=refused.detail,
        )


class OperatorApp:
    """The listener for operators and Prometheus: health and figures."""

    def __init__(self, parts: Parts) -> None:
        self._router = Router(
            [
                *_health_routes(parts, is_open=lambda _request: True),
                Route("/metrics", _metrics_of(parts), methods=["GET"]),
            ],
            redirect_slashes=False,
            default=_nothing_here,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._router(scope, receive, send)


def _health_routes(parts: Parts, *, is_open: Callable[[Request], bool]) -> list[Route]:
    async def alive(request: Request) -> Response:
        return Response(status_code=200 if is_open(request) else 404)

    async def ready(request: Request) -> Response:
        if not is_open(request):
            return Response(status_code=404)
        await asyncio.to_thread(parts.probe)
        problem = parts.health.problem
        return Response(problem or "ready", status_code=503 if problem else 200)

    return [
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
    ]


def _metrics_of(parts: Parts) -> Callable[[Request], Awaitable[Response]]:
    async def metrics(_request: Request) -> Response:
        try:
            text = await asyncio.to_thread(parts.figures.text)
        except CrmPipelineError as error:
            return Response(error.code, status_code=503)
        return Response(text, media_type=CONTENT_TYPE)

    return metrics


def _is_from_here(request: Request) -> bool:
    """Whether a caller on this machine asks for itself, not a proxy for somebody else."""
    is_near = request.client is not None and request.client.host in _LOOPBACK
    return is_near and not any(name in request.headers for name in _FORWARDED)


def _secrets_of(hook: Hook) -> list[str]:
    """Return the secrets that are where they should be."""
    found = []
    for read in hook.secrets:
        with suppress(SecretMissingError):
            found.append(read())
    return found


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=404)(scope, receive, send)
