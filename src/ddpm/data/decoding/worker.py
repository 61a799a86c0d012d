"""A process that decodes images for another one: `python -m ddpm.data.decoding.worker PARENT`, started by `workers`.

A line of its input is a JSON list of requests; the answer to each is a line of JSON, then the pixels. If a file makes a
decoder crash, only this process dies, and it cannot take more than `MAX_MEMORY`. It ignores the signals that stop a run:
it ends when its input ends, or with its parent.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from ddpm.data.decoding.image_file import answer_to

MAX_MEMORY = 4 * 2**30
"""Bytes of address space: about eight times as many as the pixels of the largest allowed picture take."""
LONG = 0.1
"""Seconds after which the finished answers are sent, before the next image is begun."""
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def confined(parent: int) -> None:
    """Ignore the signals that stop a run, die with `parent`, take no more than `MAX_MEMORY` and leave no core file."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
    with contextlib.suppress(ImportError, ValueError, OSError):  # where the system has no such limit
        import resource  # noqa: PLC0415 (not on Windows)

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def answer(request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """As `answer_to`; if it takes more than `MAX_MEMORY`, that is a fault of the file."""
    try:
        return answer_to(request)
    except MemoryError:
        return {"fault": "memory", "message": "reading it needs too much memory"}, b""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end. A line holds several of them; a finished answer does not wait long for the next one."""
    _send(answers, {}, b"")
    answers.flush()
    for line in requests:
        said = time.monotonic()
        for request in json.loads(line):
            if time.monotonic() - said > LONG:
                answers.flush()
                said = time.monotonic()
            _send(answers, *answer(request))
        answers.flush()


def _send(answers: BinaryIO, header: dict[str, Any], body: bytes) -> None:
    answers.write(json.dumps({**header, "bytes": len(body)}).encode() + b"\n")
    answers.write(body)


if __name__ == "__main__":
    confined(int(sys.argv[1]))
    serve(sys.stdin.buffer, open(1, "wb", buffering=2**18))  # noqa: SIM115 (as long as the process)
