"""`ddpm.lab`: one answer of the laboratory in a call."""

from pathlib import Path

import torch

from ddpm.checks import check_whole
from ddpm.diffusion.schedule import Schedule
from ddpm.errors import RunWarning, UsageError, chosen, warn
from ddpm.figures.images import Data
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.shown import At, place_at
from ddpm.laboratory.own.questions import find_on_model
from ddpm.laboratory.own.subject import subject
from ddpm.laboratory.questions import SEVERAL, written
from ddpm.laboratory.questions import find as find_question
from ddpm.language import LANGUAGES
from ddpm.parallel.device import pick_device
from ddpm.report.answers.answer import LabAnswer
from ddpm.report.answers.derivations import of_derivation
from ddpm.report.answers.notes import in_the_notes
from ddpm.report.answers.questions import of_model, of_question
from ddpm.trained.evaluate import given_images
from ddpm.trained.loaded import load_run
from ddpm.trained.model import TrainedModel
from ddpm.trained.schedules import find


def lab(
    asked: str,
    *,
    schedule: str | Path | Schedule | None = None,
    T: int | None = None,
    seed: int = 0,
    t: int | None = None,
    x_0: float = 0.5,
    run: TrainedModel | str | Path | None = None,
    data: Data | None = None,
    num_images: int = 16,
    steps: int | None = None,
    language: str = "en",
) -> LabAnswer:
    """Ask the laboratory one question: what `ddpm lab` prints, with the same numbers.

    Args:
        asked: a question ("Q1" to "Q35", "kernel", "masking", ...), a derivation ("mean", "bound", ...), a line of the study notes
            ("000:163"), a slip ("ERR-40"), an equation ("E45", "eq-12"), or "notes": all statements of the notes.
        schedule: a name of `ddpm.SCHEDULES`, a run folder, a file of ``ddpm schedule --json``, or a Schedule; None for "linear".
        T: steps of a schedule by name; None for 1000.
        seed: of what is simulated.
        t: where a derivation takes its numbers, 2..T; None for three tenths of T.
        x_0: the pixel of a derivation, in [-1, 1].
        run: a trained model, or its folder: answers a question of `ddpm lab --run` on it, on its own chain.
        data: the images on which the model is asked, as in `TrainedModel.bits_per_dim`; None for its own held-out ones.
        num_images: how many of them.
        steps: how many steps of the model's chain are used; None for all.
        language: "en" or "ko".

    Raises:
        UsageError: there is no such question, or it is not answered on a model; arguments that do not go together.
        NotFound, DataError: the run or the data cannot be read.

    Example:
        >>> import ddpm
        >>> print(ddpm.lab("eq-4"))  # doctest: +ELLIPSIS
        Eq. 4. section 2
          q(x_t|x_0)...
    """
    chosen(dict.fromkeys(LANGUAGES), language, "language")
    if not isinstance(asked, str):
        raise UsageError(f"question is a name, such as Q20, not {type(asked).__name__}")
    asked = written(asked) if isinstance(asked, str) else find_question(asked).name
    if asked in SEVERAL:
        raise UsageError(f"{asked!r} is more than one answer: the command gives it", f"ddpm lab {asked}")
    if run is None:
        if data is not None or steps is not None:
            raise UsageError("`data` and `steps` say how a model is asked", "`run=RUN` names the run")
        setting = _setting(schedule, T, check_whole("seed", seed))
        return answered(asked, setting, place_at(setting.T, t, x_0), language)
    if schedule is not None or T is not None:
        raise UsageError("the schedule is that of the run: give `run` or `schedule`")
    name, model = find_on_model(asked), _opened(run)
    images = given_images(model.loaded, model.experiment.data.source if data is None else data, "test")
    some = images.take(torch.arange(min(check_whole("num_images", num_images, 2), len(images))))
    told = None if isinstance(run, TrainedModel) else str(run)
    return of_model(name, subject(model.loaded, some, told, steps=steps, seed=seed), model.loaded, language)


def answered(asked: str, setting: Setting, at: At, language: str) -> LabAnswer:
    """The answer to whatever can be asked without a model.

    Raises:
        UsageError: there is no such question.
    """
    return without_figure(asked, setting, at, language) or of_question(asked, setting, language)


def without_figure(asked: str, setting: Setting, at: At, language: str) -> LabAnswer | None:
    """A derivation, or what is in the notes; None where it is neither."""
    if asked in DERIVATIONS:
        return of_derivation(asked, setting, at, language)
    return in_the_notes(asked, language)


def _setting(schedule: str | Path | Schedule | None, T: int | None, seed: int) -> Setting:
    if isinstance(schedule, Schedule):
        if T is not None:
            raise UsageError(f"a Schedule has its own T = {schedule.T}: give a name with `T`")
        return Setting("own schedule", schedule, seed)
    return Setting(*find(str(schedule or "linear"), T), seed)


def _opened(run: TrainedModel | str | Path) -> TrainedModel:
    if isinstance(run, TrainedModel):
        return run
    found = load_run(str(run), "ema", pick_device("auto"), {})
    for note in found.notes:
        warn(note, RunWarning)
    return TrainedModel(found)
