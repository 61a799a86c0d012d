"""One function for each command: from its flags to what it prints."""

import math
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ddpm.cli.cheap import run_cheaply
from ddpm.cli.console import JsonTarget, file_for, fresh_folder, note, say, track
from ddpm.cli.editing import asked_of_edits, run_edit, run_inpaint
from ddpm.cli.likelihoods import measure_likelihoods, table, ways_of
from ddpm.cli.opening import images_asked, opened, scored
from ddpm.cli.processes import processes
from ddpm.cli.sampling import run_sample
from ddpm.cli.training import follow, requested
from ddpm.data.describe import describe
from ddpm.data.imageset import ImageSet
from ddpm.data.inputs import read_image, read_unscaled
from ddpm.data.labels import Labels
from ddpm.errors import Mismatch
from ddpm.evaluation.rate import Bound, summarise
from ddpm.experiment.config import DataConfig
from ddpm.figures import plots, style
from ddpm.figures.pictures import save_each, tile, to_pictures
from ddpm.laboratory.answer import Setting
from ddpm.parallel.device import pick_device
from ddpm.parallel.launch import number
from ddpm.report.training import report_training
from ddpm.run.folder import RunFolder
from ddpm.run.start import start_of
from ddpm.run.verify import require_whole, resumable, verify
from ddpm.sampling.images import evenly
from ddpm.storage.atomic import write_bytes
from ddpm.trained.evaluate import METRICS, about, chosen_metrics, decoder_variance, evaluate, result
from ddpm.trained.interpolate import interpolate
from ddpm.trained.labels import in_words, told_when_scored
from ddpm.trained.likelihoods import of_bound, results
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.schedules import find, tables


def run_train(options: Namespace) -> None:
    """`ddpm train`."""
    folder = RunFolder(Path(options.output_dir).expanduser())
    follow(requested(options), folder, pick_device(options.device), start_of(options.resume))
    if not number():
        say(f"done: {folder.path}; report: {report_training(folder)}")


def run_evaluate(options: Namespace) -> None:
    """`ddpm evaluate`."""
    metrics = chosen_metrics(options.metrics)
    ways = ways_of(options, metrics)
    if options.evaluations:
        run_cheaply(options, metrics)
        return
    plot, json_target = file_for(options.plot, ".png"), JsonTarget(options.json)
    trained = scored(options)
    images = images_asked(options, trained)
    label, labels = told_when_scored(trained.experiment, images, options.label)
    what = f"{options.split} images of {options.data}{in_words(label)}"
    likelihoods = measure_likelihoods(trained, images, metrics, ways, labels)
    rows = {ways.words(name): found for name, found in likelihoods.items()}
    values = results(likelihoods, ways)
    if plot or set(metrics) & set(METRICS):
        bound = measure_bound(trained, images, options.seed, options.batch_size, labels)
        say_bound(trained, bound, metrics, what)
        if plot:
            write_bytes(plot, style.png(plots.bound_by_t(bound)))
            say(f"plot: {plot}")
        rows = {f"variational bound, T = {bound.T}": of_bound(bound), **rows}
        values = result(bound, metrics) | values
    if likelihoods:
        table(rows, f"{len(images)} {what}")
    json_target.write(about(trained, len(images), label) | values)


def say_bound(trained: LoadedModel, bound: Bound, metrics: list[str], what: str) -> None:
    """The bound in words, and the rate-distortion curve in ten lines."""
    say(sentence(trained, bound, what))
    if "rate-distortion" in metrics:
        points = bound.rate_distortion()
        say(f"{'t':>8} {'bits/dim received':>20} {'RMSE on 0..255':>16}")
        for i in sorted(set(evenly(len(points), 10))):
            say("{:>8} {:>20.5f} {:>16.3f}".format(*points[i]))


def measure_bound(trained: LoadedModel, images: ImageSet, seed: int, batch_size: int, labels: Labels = None) -> Bound:
    """The bound, with progress."""
    schedule = trained.process.schedule
    with processes(trained.device) as world:
        total = math.ceil(len(images) / batch_size / world.size) * (schedule.T + 1)
        measured = track(evaluate(trained, images, seed, batch_size, labels, world), total, "evaluating")
        return summarise(measured, schedule, len(images), math.prod(images.shape), world)


def sentence(trained: LoadedModel, bound: Bound, what: str) -> str:
    """The bound in words, with the choices that it depends on."""
    error = f"± {bound.stderr:.4f}" if bound.images > 1 else "(of one image: no standard error)"
    return (
        f"{bound.total:.4f} {error} bits/dim on {bound.images} {what}\n"
        f"  L_T {float(bound.by_t[0]):.6f}   L_1..L_(T-1) {float(bound.by_t[2:].sum()):.4f}   "
        f"L_0 {float(bound.by_t[1]):.4f}   an upper bound on the code length\n"
        f"  T = {bound.T}, {trained.weights} weights of step {trained.step:,}, decoder's variance {decoder_variance(trained)}, "
        f"estimate of x_0 {trained.experiment.process.limit}"
    )


def run_interpolate(options: Namespace) -> None:
    """`ddpm interpolate`."""
    trained = opened(options)
    data, condition = trained.experiment.data, asked_of_edits(options, trained.experiment)
    first, second = (_fitted(name, data) for name in (options.first, options.second))
    total, steps = interpolate(
        trained,
        (first, second),
        options.timestep,
        options.num,
        options.seed,
        options.encoding,
        options.steps,
        condition,
    )
    folder = fresh_folder(options.output_dir)
    *_, last = track(steps, total, "interpolating")
    pictures = to_pictures(last.x, data.levels)
    save_each(pictures, folder)
    tile(pictures, len(pictures)).save(folder / "row.png")
    say(f"{options.num} images in {folder}, side by side in {folder / 'row.png'}")


def _fitted(name: str, data: DataConfig) -> Tensor:
    """An image at the model's size, saying so where it is not at its own."""
    path = Path(name).expanduser()
    try:
        return read_unscaled(path, data.shape, data.levels)
    except Mismatch as error:
        note(f"ddpm: {error}: scaled and cut")
        return read_image(path, data.shape, data.levels)


def run_schedule(options: Namespace) -> None:
    """`ddpm schedule`."""
    plot, json_target = file_for(options.plot, ".png"), JsonTarget(options.json)
    name, schedule = find(options.name, options.steps or 0)
    values = tables(schedule)
    say(f"{name}, T = {schedule.T}")
    say(f"{'t':>6} {'beta':>12} {'alpha_bar':>12} {'beta_tilde':>12} {'SNR':>12} {'w_t large':>12} {'w_t small':>12}")
    columns = ("beta", "alpha_bar", "beta_tilde", "snr", "w_eps_fixed_large", "w_eps_fixed_small")
    for t in sorted({1, 2, schedule.T, *(round(schedule.T * k / 10) for k in range(1, 11))} - {0}):
        if t <= schedule.T:
            say(f"{t:>6} " + " ".join(f"{values[column][t - 1]:>12.6g}" for column in columns))
    prior = ", ".join(f"{bits:.4g} ({key})" for key, bits in values["L_T_bits_per_dim"].items())
    say(f"L_T in bits/dim: {prior}")
    if plot:
        write_bytes(plot, style.png(plots.schedule(schedule, name)))
        say(f"plot: {plot}")
    json_target.write({"name": name, **values})


def run_data(options: Namespace) -> None:
    """`ddpm data`."""
    json_target = JsonTarget(options.json)
    found = describe(options.source)
    if "channels" in found:
        say(
            f"{found['source']}: {found['images']:,} images ({found['train']:,} to train on, {found['test']:,} held out)"
        )
        say(f"{found['channels']} x {found['height']} x {found['width']} (channels, height, width)")
        say(
            f"{found['levels']} levels, {found['distinct_values']} of them in use; {found['classes']} classes{_named(found)}"
        )
    else:
        say(f"{found['source']}: {found['images']:,} images of {len(found['sizes'])} sizes")
        say(f"{found['train']:,} to train on, {found['test']:,} held out")
        for size in found["sizes"][:10]:
            say(f"  {size['width']} x {size['height']} (width, height): {size['images']:,}")
        if len(found["sizes"]) > 10:
            say(f"  and {len(found['sizes']) - 10} more sizes")
        if found["sizes"]:
            say(
                "to train on them, give one size: --set data.resolution=HEIGHT,WIDTH (scales to cover it, cuts the centre)"
            )
    say(f"{len(found['broken'])} broken files")
    for broken in found["broken"]:
        say(f"  {broken['file']}: {broken['reason']}")
    json_target.write(found)


def _named(found: Mapping[str, Any], most: int = 12) -> str:
    """The names of the classes, if they have any."""
    names = found["class_names"]
    return f" ({', '.join(names[:most])}{', ...' if len(names) > most else ''})" if names else ""


def run_lab(options: Namespace) -> None:
    """`ddpm lab`."""
    from ddpm.cli.lab import answer_all, answer_one, list_questions

    setting = Setting(*find(options.schedule, options.steps or 0), options.seed)
    json_target, folder = JsonTarget(options.json), Path(options.output_dir).expanduser()
    if not options.question:
        json_target.write(list_questions(options.language))
    elif options.question == "all":
        json_target.write(answer_all(setting, folder, options.language))
    else:
        json_target.write(answer_one(options.question, setting, folder, options.language))


def run_verify(options: Namespace) -> None:
    """`ddpm verify`."""
    json_target, verdicts = JsonTarget(options.json), []
    for verdict in verify(Path(options.run).expanduser()):
        verdicts.append(verdict)
        say(f"{verdict.path.name}  {verdict.worth:<7}  {verdict.damage or f'{verdict.bytes:,} bytes of tensors'}")
    values: dict[str, Any] = {"checkpoints": [verdict.values() for verdict in verdicts], "resumed_from": None}
    for newest in resumable(verdicts):
        say(f"training would go on from step {newest.step:,}: {newest.path}")
        values["resumed_from"] = str(newest.path)
    json_target.write(values)
    require_whole(verdicts)


def run_demo(options: Namespace) -> None:
    """`ddpm demo`."""
    from ddpm.cli.demo import demo

    demo(RunFolder(Path(options.output_dir).expanduser()), options.budget, pick_device(options.device))


ACTIONS: Mapping[str, Callable[[Namespace], None]] = {
    "demo": run_demo,
    "train": run_train,
    "sample": run_sample,
    "evaluate": run_evaluate,
    "interpolate": run_interpolate,
    "inpaint": run_inpaint,
    "edit": run_edit,
    "schedule": run_schedule,
    "data": run_data,
    "lab": run_lab,
    "verify": run_verify,
}
