"""The server of the page: its files, and POST /ask/NAME, whose answers come as Server-Sent Events while they are computed.

It listens at 127.0.0.1 only, and `guard` lets through what comes from the page that was opened with the token.
"""

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ddpm.errors import Ending, Unavailable
from ddpm.explorer.followed import Followed
from ddpm.explorer.guard import HOST, Guard
from ddpm.explorer.page_files import page_files
from ddpm.explorer.wire import NoAsk, text
from ddpm.explorer.worker import Job, Worker

NAME = 64
"""Letters of the name that a page gives itself, at most."""
Said = Callable[[str, str], str]
"""A message of the library in a language, "en" or "ko"."""
PAUSE = 15.0
"""Seconds after which a silent stream says that it lives, and so hears that its reader is gone."""


def application(followed: Followed, worker: Worker, said: Said) -> Starlette:
    """The page and its answers, unguarded."""
    pages = page_files()

    async def page(request: Request) -> Response:
        found = pages.get(request.url.path)
        if found is None:
            raise HTTPException(404, "there is no such page")
        return Response(found[0], media_type=found[1])

    async def ask(request: Request) -> Response:
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise HTTPException(415, "an ask is JSON")
        try:
            given = json.loads(await request.body())
            name = request.path_params["name"]
            steps = followed.answers(name, given if isinstance(given, dict) else {"": given})
        except (NoAsk, Ending) as refusal:
            raise HTTPException(400, said(str(refusal), _language(request))) from refusal
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"an ask is JSON: {type(error).__name__}") from error
        page_name, lane = (request.headers.get(name, "")[:NAME] for name in ("x-page", "x-lane"))
        job = worker.submit(page_name, lane or name, steps)
        language = _language(request)
        return StreamingResponse(_told(worker, job, lambda text: said(text, language)), media_type="text/event-stream")

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return PlainTextResponse(error.detail, error.status_code)

    routes = [
        Route("/ask/{name:str}", ask, methods=["POST"]),
        Route("/{path:path}", page, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: refused})


def _language(request: Request) -> str:
    """That of the page."""
    return "ko" if request.headers.get("x-language") == "ko" else "en"


async def _told(worker: Worker, job: Job, said: Callable[[str], str]) -> AsyncIterator[bytes]:
    """The answers of a job as they come, and what went wrong in the page's language; when the reader goes, the job stops."""
    try:
        while True:
            try:
                answer = await asyncio.wait_for(job.answers.get(), PAUSE)
            except TimeoutError:
                yield b": still computing\n\n"
                continue
            worker.taken(job)
            if answer is None:
                return
            if "error" in answer:
                answer = {"error": said(answer["error"]), "hints": [said(hint) for hint in answer["hints"]]}
            yield text(answer)
    finally:
        worker.stop(job)


def listen(port: int) -> socket.socket:
    """A port of this machine, 0 for any that is free; requests wait until a `Site` answers.

    Raises:
        Unavailable: something else listens there.
    """
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise Unavailable(f"cannot listen at port {port}: {os.strerror(error.errno or 0)}") from error
    listening.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # else an answer waits 40 ms for the receipt of its head
    return listening


class Site(uvicorn.Server):
    """A page: `url` opens it, `run` answers until Ctrl-C or `stop`.

    Args:
        followed: what the page is about.
        listening: where, as `listen` gives it; closed in the end.
        ready: is told the address, once it can be opened.
        said: puts messages into the language of the page.
        ended: is told when it begins to end, by Ctrl-C or a signal too: after SIGTERM `run` does not return.
    """

    def __init__(
        self,
        followed: Followed,
        listening: socket.socket,
        ready: Callable[[str], None] = lambda _url: None,
        said: Said = lambda text, _language: text,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.followed, self._listening, self.worker = followed, listening, Worker()
        self._ready, self._ended = ready, ended
        guard = Guard(application(followed, self.worker, said), listening.getsockname()[1])
        self.url = guard.url
        super().__init__(
            uvicorn.Config(guard, log_level="error", lifespan="off", timeout_graceful_shutdown=1, server_header=False)
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until the end."""
        try:
            super().run(sockets or [self._listening])
        finally:
            self.worker.close()
            self._listening.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A terminal that is closed ends it as SIGTERM does, unless that is ignored (nohup)."""
        hangups = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # Windows has none
        if threading.current_thread() is not threading.main_thread():
            hangups = []
        heard = [number for number in hangups if signal.getsignal(number) is signal.SIG_DFL]
        for number in heard:
            signal.signal(number, self.handle_exit)
        with super().capture_signals():
            yield
            for number in heard:
                signal.signal(number, signal.SIG_DFL)  # it is raised again when all is closed

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._ready(self.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is computed, so that its streams end, and then the rest."""
        self._ended()
        await asyncio.to_thread(self.worker.close)
        await super().shutdown(sockets)

    def stop(self) -> None:
        """From another thread: end soon."""
        self.should_exit = True
