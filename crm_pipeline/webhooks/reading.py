"""The body of a request, within limits of size, time and memory."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from crm_pipeline.webhooks.refusals import Refused

#: A body up to this many times the limit is read to its end, and thrown away, before the answer.
_DISCARDED = 8


class BodyReader:
    """Reads bodies: each up to ``max_bytes`` and ``max_seconds``, all together ``max_total``."""

    def __init__(self, *, max_bytes: int, max_seconds: float, max_total: int) -> None:
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._left = max_total

    async def read(self, request: Request) -> bytes:
        """Return the whole body.

        Raises Refused: 413 for one that is too large, which no repetition makes smaller; 503 for
        one that came too slowly, not whole, or while too many others are read.
        """
        self._check_announced(request)
        parts: list[bytes] = []
        size = held = 0
        try:
            async with asyncio.timeout(self._max_seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > self._max_bytes * _DISCARDED:
                        break
                    if size > self._max_bytes:
                        continue  # a sender that still sends does not see our answer
                    held += len(part)
                    self._left -= len(part)
                    if self._left < 0:
                        raise Refused(503, "overloaded")
                    parts.append(part)
        except TimeoutError:
            raise Refused(503, "too_slow") from None
        except ClientDisconnect:
            raise Refused(503, "cut_short") from None
        finally:
            self._left += held
        if size > self._max_bytes:
            raise Refused(413, "too_large")
        return b"".join(parts)

    def _check_announced(self, request: Request) -> None:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._max_bytes * _DISCARDED:
            raise Refused(413, "too_large")
