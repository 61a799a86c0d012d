"""From what was typed to an exit code: every failure becomes one line and the code of the contract."""

import errno
import os
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ddpm.cli.console import complain, note, warn_in_one_line
from ddpm.cli.parser import parse
from ddpm.errors import CannotCreate, Failure, Interrupted, NotFound, OutOfResources, StorageError

ERRNO = {
    **dict.fromkeys((errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG), StorageError),
    **dict.fromkeys((errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN), OutOfResources),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG), CannotCreate
    ),
    errno.ENOENT: NotFound,
}
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    warn_in_one_line()
    typed = sys.argv[1:] if arguments is None else list(arguments)
    options = Namespace(command="", debug="--debug" in typed)
    try:
        options = parse(typed)
        from ddpm.cli.actions import ACTIONS

        ACTIONS[options.command](options)
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing more to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            traceback.print_exc()
        failure = explained(error, getattr(options, "output_dir", "output")) or _bug(error, options)
        complain(failure)
        _record(options, failure)
        return failure.code
    _record(options, None)
    return 0


def explained(error: BaseException, output: str = "output") -> Failure | None:
    """The failure that an exception stands for (writing to `output`, if it names no file), or None if it is our bug."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY):
        return OutOfResources(f"out of memory: {error}", "a smaller --batch-size, or --set training.accumulate=2")
    if isinstance(error, OSError) and error.errno in ERRNO:
        return ERRNO[error.errno](f"{error.strerror}: {error.filename or output}")
    return None


def _bug(error: BaseException, options: Namespace) -> Failure:
    """Our own fault: keep the traceback where it can be sent from."""
    text = "".join(traceback.format_exception(error))
    folder = Path(getattr(options, "output_dir", "") or ".")
    path = (folder if folder.is_dir() else Path()) / f"crash-{time.strftime('%Y%m%d-%H%M%S')}.txt"
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        path.write_text(text)
    except OSError:
        note(text)
        return Failure(f"internal error: {summary}")
    return Failure(f"internal error: {summary}", f"the traceback is in {path}", "please report it")


def _record(options: Namespace, failure: Failure | None) -> None:
    """RUN/exit.json, for the commands that work on a run folder of their own."""
    if options.command not in ("train", "demo") or not (Path(options.output_dir) / "config.json").exists():
        return
    from ddpm.commands.run import write_json

    content = {
        "code": failure.code if failure else 0,
        "kind": type(failure).__name__ if failure else "Done",
        "message": str(failure) if failure else "",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with suppress(Failure):  # a full disk: what matters has been said
        write_json(Path(options.output_dir) / "exit.json", content)
