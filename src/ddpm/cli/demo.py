"""`ddpm demo`: train, sample, evaluate, report, and where to look."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, span
from ddpm.cli.terminal.console import note, say, track
from ddpm.cli.terminal.streams import require_told
from ddpm.errors import Mismatch

if TYPE_CHECKING:
    import torch

    from ddpm.experiment.config import Experiment
    from ddpm.run.folder import RunFolder

ABOUT = "train, sample and evaluate on embedded digits, with a report"
EXAMPLES = """\
ddpm demo
ddpm demo --budget 10m --output-dir runs/longer
"""
SAMPLES = 64
ENOUGH = 400


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm demo`."""
    group = parser.add_argument_group("the run")
    group.add_argument("--output-dir", type=filled, default="runs/demo", metavar="RUN", help="run folder (runs/demo)")
    group.add_argument(
        "--budget", type=span, default=180.0, metavar="TIME", help="training time (180 seconds; also 10m, 1h)"
    )
    groups.running(parser)


def run(options: Namespace) -> None:
    """A run of the preset "digits", with samples.png, evaluation.json and report.html.

    Raises:
        Mismatch: another run is in the folder.
    """
    from ddpm.cli.parts.training import follow
    from ddpm.parallel.device import pick_device
    from ddpm.run.ending import recorded
    from ddpm.run.folder import RunFolder
    from ddpm.run.imported import own_folder
    from ddpm.run.start import Continue

    folder, device = RunFolder(own_folder(options.output_dir)), pick_device(options.device)
    with recorded(folder):
        follow(_experiment(folder, options.budget), folder, device, Continue())
        _show(folder, device, options.budget, options.language)
        require_told()


def _show(folder: RunFolder, device: torch.device, budget: float, language: str) -> None:
    """Samples, the bound and the report of what was trained."""
    from ddpm.cli.parts.bounds import measure_bound, sentence
    from ddpm.experiment.duration import in_words
    from ddpm.figures.pictures import save_animation, square, to_pictures
    from ddpm.report.training import report_demo
    from ddpm.sampling.images import Plan, Watch, finished, sample
    from ddpm.storage.atomic import write_json
    from ddpm.trained.evaluate import METRICS, about, images_to_evaluate, result
    from ddpm.trained.loaded import load_run

    trained = load_run(str(folder.path), "ema", device)
    if trained.step < ENOUGH:
        note(
            f"ddpm: warning: this machine is slow, or busy: only {trained.step} steps fit into {in_words(budget)}, "
            f"and digits need about {ENOUGH} to be recognisable; try a longer --budget"
        )
    p, experiment = trained.process, trained.experiment
    plan, watch = Plan(SAMPLES), Watch(SAMPLES, p.schedule.T)
    chains = track(sample(p, experiment.shape, plan, device), p.schedule.T, "sampling")
    ((_, samples),) = finished(watch(chains))
    square(to_pictures(samples, experiment.levels)).save(folder.path / "samples.png")
    moving = folder.path / "samples.webp"
    save_animation([square(to_pictures(frame.x, experiment.levels)) for frame in watch.frames], moving)

    asked = {"run": str(folder.path), "data": "digits", "split": "test"}
    images = images_to_evaluate(trained, "digits", "test")
    bound = measure_bound(trained, images, 0, len(images))
    write_json(folder.path / "evaluation.json", result(bound, list(METRICS)) | about(trained, bound.images) | asked)
    report = report_demo(folder, samples, watch.frames, moving, bound, language)
    say(sentence(trained, bound, f"{bound.images} held-out digits"))
    say(f"samples: {folder.path / 'samples.png'}")
    say(f"report:  {report}   (open it in a browser)")
    say(f"touch it: ddpm explore {folder.path}")


def _experiment(folder: RunFolder, budget: float) -> Experiment:
    """That of the demo in the folder, or a new one; it ends within the seconds of `budget`.

    A demo of an older version has no budget: it goes on to its last step.
    """
    from ddpm.experiment.presets import digits

    experiment = digits()
    if folder.config.exists():
        experiment = folder.read_experiment()
        if experiment.preset != "digits":
            raise Mismatch(f"{str(folder.path)!r} holds a run of the preset {experiment.preset!r}, not a demo")
        note(f"going on with the demo in {folder.path}; remove it for a new one")
        if experiment.rhythm.budget is None:
            return experiment
    return replace(experiment, rhythm=replace(experiment.rhythm, budget=budget))
