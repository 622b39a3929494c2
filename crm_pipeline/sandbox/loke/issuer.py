"""LOKE's authorization server: where it is and its token endpoint."""

from collections.abc import Callable

from crm_pipeline.sandbox.loke.answers import Answers
from crm_pipeline.sandbox.loke.state import LokeState
from crm_pipeline.sandbox.wire import Answer, Request, Route, json_answer


class Issuer:
    """Answers the calls that are not about an organisation."""

    def __init__(self, loke: LokeState, answers: Answers) -> None:
        """Issue the tokens of ``loke``."""
        self._loke = loke
        self._answers = answers
        self._table: dict[str, Callable[[Request], Answer]] = {
            "/token": self._token,
            "/.well-known/openid-configuration": self._discovery,
        }

    def route(self, request: Request) -> Route:
        """Find who answers."""
        path = "/" + "/".join(request.segments)
        if path in self._table:
            return Route(path, self._table[path])
        return Route("unknown", lambda _: self._answers.error(404, "Not found"))

    def _token(self, request: Request) -> Answer:
        if request.method != "POST":
            return self._answers.error(405, "Method not allowed")
        return self._loke.tokens.issue(request)

    def _discovery(self, _: Request) -> Answer:
        base = self._loke.base_url
        return json_answer(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/jwks",
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
            }
        )
