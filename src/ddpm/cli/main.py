"""From what was typed to an exit code: every failure becomes one line and the code of the contract."""

import os
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ddpm.cli.parser import COMMANDS, parse
from ddpm.cli.terminal.console import RESULTS, complain, note, warn_in_one_line
from ddpm.cli.terminal.speech import SPEECH, asked
from ddpm.cli.terminal.streams import require_told, spoken
from ddpm.errors import Failure, explained
from ddpm.parallel.launch import launched


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    with spoken():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    warn_in_one_line()
    typed = sys.argv[1:] if arguments is None else list(arguments)
    if launched():  # torch would print its own stack where a process is lost, and advice where there is nothing to do
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    SPEECH.begin(asked(typed))
    options = Namespace(debug="--debug" in typed)
    try:
        options = parse(typed)
        options.typed = typed
        RESULTS.begin(getattr(options, "json", None))
        from ddpm.cli.terminal.indexing import indexing_shown
        from ddpm.cli.terminal.outputs import check_outputs

        check_outputs(options)
        with indexing_shown():
            COMMANDS[options.command].run(options)
        require_told()
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            traceback.print_exc()
        failure = explained(error, getattr(options, "output_dir", "output"), _less_memory(options)) or _bug(
            error, options
        )
        complain(failure)
        if launched():  # to take leave of processes that are gone could take for ever, or abort
            sys.stdout.flush()
            os._exit(failure.code)
        return failure.code
    return 0


def _less_memory(options: Namespace) -> str:
    """How this command needs less memory, if it can."""
    if getattr(options, "command", "") == "train":  # a run that goes on may compute its steps in parts
        return "--set training.accumulate=2 computes each step in two parts, and 4 in four"
    return "a smaller --batch-size needs less" if hasattr(options, "batch_size") else ""


def _bug(error: BaseException, options: Namespace) -> Failure:
    """Our own fault: keep the traceback where it can be sent from."""
    text = "".join(traceback.format_exception(error))
    folder = Path(getattr(options, "output_dir", ".")).expanduser()
    path = (folder if folder.is_dir() else Path()) / f"crash-{time.strftime('%Y%m%d-%H%M%S')}.txt"
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:
        note(text)
        return Failure(f"internal error: {summary}")
    return Failure(f"internal error: {summary}", f"the traceback is in {path}", "please report it")
