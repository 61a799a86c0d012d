"""Who may ask: only the page that was opened here. A token, and the addresses from which and to which a request came.

Another page in the same browser can send requests to 127.0.0.1, and a name of its own can point there (DNS rebinding): so the
Host and the Origin of each request are checked, and without the token, or the cookie that it was exchanged for, nothing is told.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
LARGEST = 8 * 2**20
"""Bytes of a request."""
TOO_LARGE = "the request is too large"
ENTER = "/enter"
"""Where one comes in from elsewhere, as from the file of `handover`: with a redirect that began there no strict cookie is sent."""
ENTERED = '<!doctype html><html lang="en"><title>ddpm explore</title><a href="/">ddpm explore</a></html>'
"""What is seen there for a moment, before the page."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer: the page may load nothing from elsewhere, and no other page may show it."""


@dataclass(frozen=True)
class Guard:
    """ASGI middleware: lets through what comes from the page at `port`, and refuses the rest before a byte of it is read."""

    app: ASGIApp
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def cookie(self) -> str:
        """Its name; cookies do not tell ports apart."""
        return f"ddpm-{self.port}"

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self.app(scope, _limited(receive), _with_headers(send))

    def refusal(self, request: Request) -> Response | None:
        """What is answered to a request that is not let through."""
        hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        if request.headers.get("host") not in hosts:
            return PlainTextResponse("this address is not served here", 421)
        origin = request.headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in hosts:
            return PlainTextResponse("other pages may not ask", 403)
        given = request.query_params.get("token")
        if given is not None and self._is_token(given):
            entered = HTMLResponse(ENTERED, headers={"Refresh": "0; url=/"})
            answer = entered if request.url.path == ENTER else RedirectResponse(request.url.path, 303)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return answer
        if not self._is_token(request.cookies.get(self.cookie, "")):
            return PlainTextResponse("open the address that `ddpm explore` printed, with its token", 403)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > LARGEST:
            return PlainTextResponse(TOO_LARGE, 413)
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _limited(receive: Receive) -> Receive:
    """What is received, up to so many bytes: a length that was announced may be a lie."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST:
            raise HTTPException(413, TOO_LARGE)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            have = Headers(scope=message)
            more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items() if name not in have]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent
