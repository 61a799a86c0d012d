"""`ddpm explore`: a page in the browser, with a trained model behind it."""

import threading
import webbrowser
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural
from ddpm.cli.terminal.console import note, say
from ddpm.cli.terminal.files import file_for
from ddpm.cli.terminal.speech import in_language
from ddpm.errors import UsageError

if TYPE_CHECKING:
    from ddpm.experiment.config import Experiment
    from ddpm.explorer.followed import Followed
    from ddpm.explorer.subject import Begun, Subject
    from ddpm.trained.model import TrainedModel

ABOUT = "see and touch a model in the browser"
EXAMPLES = """\
ddpm explore runs/mine
ddpm explore runs/mine --data photos --no-browser --port 8000
ddpm explore runs/mine --export page.html
"""
DEMO, SHIPPED = "runs/demo", "ddpm:mnist"
"""What is opened where no RUN is given: the first that is there."""
HIGHEST = 65535


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm explore`."""
    what = parser.add_argument_group("what to explore")
    what.add_argument(
        "run",
        nargs="?",
        type=filled,
        metavar="RUN",
        help=f"run folder or checkpoint ({DEMO} if it is there, else {SHIPPED}, which comes with ddpm)",
    )
    what.add_argument(
        "--data", type=filled, metavar="SOURCE", help="images to look at, a source as of ddpm train (the run's own)"
    )
    where = parser.add_argument_group("where it is shown")
    where.add_argument("--port", type=natural, default=0, metavar="P", help="port of 127.0.0.1 (any that is free)")
    where.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    where.add_argument(
        "--export",
        metavar="FILE.html",
        help="write one file instead, which runs the model in any browser, without a server or a network",
    )
    groups.reading_to_draw(parser)
    groups.running(parser)


def run(options: Namespace) -> None:
    """Serve the page until Ctrl-C, or write it as one file."""
    if options.port > HIGHEST:
        raise UsageError(f"a port is a number up to {HIGHEST}: {options.port}")
    file = file_for(options.export, ".html")
    if file and (options.port or options.no_browser):
        raise UsageError("--port and --no-browser are of a page that is served, not of --export")
    needed = ("latex2mathml",) if file else ("latex2mathml", "starlette", "uvicorn")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the explorer needs what is not installed: {', '.join(missing)}", "pip install 'ddpm[explore]'"
        )
    if options.run is None:
        options.run = DEMO if Path(DEMO, "config.json").is_file() else SHIPPED
    if file:
        _export(options, file)
    else:
        _serve(options)


def _subject(options: Namespace) -> "Subject":
    from ddpm.explorer.subject import subject_of

    return subject_of(_model(options), options.data, lambda line: note(f"ddpm: {line}; --data SOURCE shows others"))


def _model(options: Namespace) -> "TrainedModel":
    from ddpm.cli.parts.opening import opened
    from ddpm.trained.model import TrainedModel

    return TrainedModel(opened(options))


def _followed(options: Namespace) -> "Followed":
    """The model; that of a run folder changes with its checkpoints, and comes with the first one."""
    from ddpm.explorer.followed import Followed, begun, run_of
    from ddpm.explorer.subject import Subject

    def newer(now: "Subject | Begun") -> Subject:
        return now.with_model(_model(options)) if isinstance(now, Subject) else _subject(options)

    folder = run_of(options.run)
    if folder is None:
        return Followed(_subject(options))
    waiting = begun(folder)
    if waiting:
        _check(options, waiting.experiment)
        note(
            f"ddpm: no checkpoint yet in {str(folder.path)!r}: the page shows the training, and the rest as soon as there is one"
        )
    return Followed(waiting or _subject(options), newer)


def _check(options: Namespace, experiment: "Experiment") -> None:
    """What is wrong with the flags is said now, though there is no model yet that they are of.

    Raises:
        UsageError, NotFound, DataError: there are no such weights, device, precision or settings, or `--data` cannot be read.
    """
    from ddpm.cli.parts.opening import settings_of
    from ddpm.models.precision import choose
    from ddpm.parallel.device import pick_device
    from ddpm.run.folder import tensors_called
    from ddpm.trained.evaluate import can_be_read
    from ddpm.trained.loaded import read_otherwise

    tensors_called(experiment, options.weights)
    choose(options.precision, pick_device(options.device))
    read = read_otherwise(experiment, settings_of(options))
    if options.data is not None:
        can_be_read(options.data, "test", read)


def _export(options: Namespace, file: Path) -> None:
    """The page as one file."""
    from ddpm.explorer.export import exported
    from ddpm.storage.atomic import write_text

    write_text(file, exported(_subject(options)))
    say(f"{file}: {file.stat().st_size / 1e6:.1f} MB; it runs the model in any browser, and needs nothing else")


def _serve(options: Namespace) -> None:
    """The page, answered by this process."""
    from ddpm.explorer.server import Site, listen

    with listen(options.port) as listening, ExitStack() as stack:
        followed = _followed(options)

        def ready(url: str) -> None:
            say(f"{followed.now.name}: {url}")
            note("ddpm: Ctrl-C ends it")
            if not options.no_browser:
                _show(url, stack)

        with suppress(KeyboardInterrupt):  # how it ends
            Site(followed, listening, ready, in_language, stack.close).run()


def _show(url: str, stack: ExitStack) -> None:
    """Open the browser, which reads the address from a file that is there until the stack is closed."""
    from ddpm.explorer.handover import leading_to

    try:
        page = stack.enter_context(leading_to(url))
    except OSError as error:
        note(f"ddpm: no file can be written that leads the browser there ({error}): open the address yourself")
        return
    note("ddpm: if the browser shows no page, open the address yourself: some browsers may not read the file with it")
    threading.Thread(target=webbrowser.open, args=[page.as_uri()], daemon=True).start()  # some are waited for
