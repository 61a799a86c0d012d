"""`ddpm lab`: the questions of the study notes, answered with live numbers."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural, number, positive
from ddpm.cli.flags.names import SCHEDULES
from ddpm.cli.terminal.console import note
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.speech import SPEECH
from ddpm.errors import quoted

ABOUT = "answer the questions of the study notes with live numbers"
EXAMPLES = """\
ddpm lab Q20 --run runs/demo
ddpm lab 000:163
ddpm lab all --schedule cosine --steps 250 --output-dir lab
"""
PIXEL, LINEAR = 0.5, "linear"


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm lab`."""
    what = parser.add_argument_group("what to ask")
    what.add_argument(
        "question",
        nargs="?",
        metavar="QUESTION",
        help="Q1 ... Q35, another's name, a derivation's, table-2, or all (without one: list them); a line of the notes (000:163), "
        "a slip (ERR-40), an equation (E45, eq-12), or notes: all that the notes say",
    )
    of = parser.add_argument_group("of which process")
    of.add_argument(
        "--schedule",
        type=filled,
        metavar="NAME",
        help=f"{SCHEDULES}; a run folder; or a file of ddpm schedule --json (linear; with --run, that of the run)",
    )
    of.add_argument(
        "--steps", type=positive, metavar="T", help="number of steps (1000; table-2: 100; with --run, all of its)"
    )
    of.add_argument("--seed", type=natural, default=0, metavar="S", help="random seed of what is simulated (0)")
    of.add_argument(
        "--timestep", type=positive, metavar="t", help="t of a derivation's numbers (three tenths of T, at least 2)"
    )
    of.add_argument("--x-0", type=number, default=PIXEL, metavar="X", help="pixel of a derivation, in [-1, 1] (0.5)")
    groups.own_model(parser)
    where = parser.add_argument_group("where it goes")
    where.add_argument(
        "--output-dir",
        type=filled,
        default="runs/lab",
        metavar="DIR",
        help="folder for figures and lab.html (runs/lab)",
    )
    groups.json(where, "questions, answers and tables")
    groups.running(parser)


def run(options: Namespace) -> None:
    """List the questions and derivations, or show one or all."""
    from ddpm.cli.laboratory.answers import answer_all, answer_one, list_questions
    from ddpm.cli.laboratory.own_model import check_own, on_model, table_2
    from ddpm.laboratory.answer import Setting
    from ddpm.laboratory.derivations.shown import place_at
    from ddpm.laboratory.questions import written
    from ddpm.trained.schedules import find

    options.question = None if options.question is None else written(options.question)
    check_own(options)
    if options.language == "ko" and options.question != "all" and not SPEECH.korean:
        note("ddpm: standard output has no Hangul: in English")
        options.language = "en"
    if options.run is not None or options.question == "table-2":
        json_target = JsonTarget(options.json)
        (table_2 if options.run is None else on_model)(options, json_target)
        json_target.tell()
        return
    setting = Setting(*find(options.schedule or LINEAR, options.steps), options.seed)
    place = place_at(setting.T, options.timestep, options.x_0)
    json_target, folder = JsonTarget(options.json), Path(options.output_dir).expanduser()
    if options.question is None:
        list_questions(options.language, json_target)
    elif options.question == "all":
        answer_all(setting, place, folder, options.language, json_target, _again(options))
    else:
        answer_one(options.question, setting, place, folder, options.language, json_target)
    json_target.tell()


def _again(options: Namespace) -> str:
    """The command that makes the same page."""
    steps = "" if options.steps is None else f" --steps {options.steps}"
    of = f"--schedule {quoted(options.schedule or LINEAR)}{steps} --seed {options.seed}"
    place = "" if options.timestep is None else f" --timestep {options.timestep}"
    place += "" if options.x_0 == PIXEL else f" --x-0 {options.x_0!r}"
    return f"ddpm lab all {of}{place} --language {options.language}"
