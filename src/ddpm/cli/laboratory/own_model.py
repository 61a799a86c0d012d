"""`ddpm lab --run RUN`: the questions that are answered on a trained network and real images; and `ddpm lab table-2`."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from ddpm.cli.laboratory.answers import tell
from ddpm.cli.parts.opening import images_asked, opened
from ddpm.cli.terminal.console import note, say, show, track
from ddpm.cli.terminal.files import JsonTarget, existing_folder
from ddpm.cli.terminal.words import counted
from ddpm.errors import Failure, NotFound, UsageError, quoted
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.own.ablation import BUDGET, IMAGES, TABLE_2, answer, trained, usual_chain
from ddpm.laboratory.own.questions import EXACT_MODEL, ON_MODEL, find_on_model
from ddpm.laboratory.own.subject import Subject, subject
from ddpm.laboratory.questions import QUESTIONS
from ddpm.report.answers.questions import of_model, said
from ddpm.report.lab_page import about, as_json, own_page
from ddpm.storage.atomic import write_text
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.schedules import find

FEW = 16
OF_RUN = ("data", "split", "weights")


def check_own(options: Namespace) -> None:
    """Refuse flags that do not go together.

    Raises:
        UsageError: they are of a run, and there is none; or --budget is not for table-2, or --run is for it.
    """
    if options.question == "table-2":
        if options.run is not None or options.data is not None:
            raise UsageError("table-2 trains networks of its own on the digits: it takes neither `run` nor `data`")
    elif options.budget is not None:
        raise UsageError("`budget` is how long table-2 trains", "ddpm lab table-2 --budget 3m")
    if options.run is not None and options.schedule is not None:
        raise UsageError("the schedule is that of the run: give `run` or `schedule`")
    if options.run is None:
        for name in (*OF_RUN, *(() if options.question == "table-2" else ("num_images",))):
            if getattr(options, name) is not None:
                raise UsageError(f"`{name}` says on which images a run is asked", "`run=RUN` names the run")


def on_model(options: Namespace, json_target: JsonTarget) -> None:
    """List the questions that have such an answer, or show one or all.

    Raises:
        UsageError: the question has none.
    """
    language = options.language
    if options.question is None:
        json_target.write({name: about(QUESTIONS[name]) for name in ON_MODEL})
        for name in ON_MODEL:
            show(f"{name:<10} {QUESTIONS[name].asked.in_language(language)}")
        return
    if options.question != "all":
        find_on_model(options.question)
    folder = Path(options.output_dir).expanduser()
    existing_folder(folder)
    asked, model = _asked(options)
    if options.question == "all":
        _all(asked, model, folder, options, json_target)
        return
    answer = of_model(options.question, asked, model, language)
    tell(answer, folder / f"{answer.name}-own.png", json_target)


def _asked(options: Namespace) -> tuple[Subject, LoadedModel]:
    """The model of RUN, and its own held-out images where no others are named.

    Raises:
        NotFound: the run's data are gone, or have no such part.
    """
    given = {"weights": options.weights or "ema", "split": options.split or "test", "set": []}
    model = opened(Namespace(**{**vars(options), **given}))
    source = options.data or model.experiment.data.source
    how = {"data": source, "split": given["split"], "num_images": options.num_images or FEW}
    try:
        images = images_asked(Namespace(**how), model).images
    except Failure as error:
        if options.data is not None:
            raise
        raise NotFound(f"the run's own data cannot be read: {error}", "`data=SOURCE` names other images") from error
    return subject(model, images, options.run, steps=options.steps, seed=options.seed, followed=_followed), model


def _followed(parts: Any, total: int, label: str) -> Any:  # noqa: ANN401
    return track(parts, total, label)


def _all(asked: Subject, model: LoadedModel, folder: Path, options: Namespace, json_target: JsonTarget) -> None:
    """The page of all, written again after each answer."""
    path, sections, values = folder / "lab-own.html", [], {}
    facts = {"run": asked.label, "images": str(len(asked.images)), "seed": str(asked.seed)}
    for name in ON_MODEL:
        note(f"ddpm: {name}")
        answer = of_model(name, asked, model, options.language)
        sections.append(answer.section())
        values |= answer.numbers
        page = own_page(sections, len(ON_MODEL), facts, EXACT_MODEL, options.language, _again(options))
        write_text(path, page)
    json_target.write(values)
    say(f"{counted(len(values), 'answer')}: {path}   (open it in a browser)")


def _again(options: Namespace) -> str:
    """The command that makes the same page."""
    named = {"data": options.data, "split": options.split, "num-images": options.num_images, "steps": options.steps}
    named |= {"weights": options.weights, "seed": options.seed, "language": options.language}
    flags = " ".join(f"--{name} {quoted(str(value))}" for name, value in named.items() if value is not None)
    return f"ddpm lab all --run {quoted(options.run)} {flags}"


def table_2(options: Namespace, json_target: JsonTarget) -> None:
    """Train, compare, and say it."""
    folder = Path(options.output_dir).expanduser()
    existing_folder(folder)
    if options.schedule is None:
        name, schedule = "linear", usual_chain(options.steps or 100)
    else:
        name, schedule = find(options.schedule, options.steps)
    setting = Setting(name, schedule, options.seed)
    found = trained(
        schedule,
        options.seed,
        options.budget or BUDGET,
        num_images=options.num_images or IMAGES,
        followed=_followed,
    )
    table = answer(found, setting.label)
    values = as_json(TABLE_2, table, setting) | {"training_steps": found.steps, "parameters": found.parameters}
    tell(said(TABLE_2, table, values, options.language), folder / "table-2.png", json_target)
