"""One function for each command: from its flags to what it prints."""

import json
import math
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ddpm.cli.console import file_for, fresh_folder, say, track
from ddpm.cli.training import assignments, follow, requested
from ddpm.commands.evaluate import chosen_metrics, evaluate, images_to_evaluate, result
from ddpm.commands.inspect_data import describe
from ddpm.commands.interpolate import interpolate
from ddpm.commands.report import report_training
from ddpm.commands.run import RunFolder, Trained, open_run, pick_device, write_json
from ddpm.commands.sample import Plan, collect, respaced, sample
from ddpm.commands.schedule import find, tables
from ddpm.data.decode import read_image
from ddpm.evaluation.rate import Bound, summarise
from ddpm.report import figures
from ddpm.report.pictures import save_animation, save_each, save_npz, square, tile, to_pictures

WATCHED = 64


def run_train(options: Namespace) -> None:
    """`ddpm train`."""
    folder = RunFolder(Path(options.output_dir).expanduser())
    follow(requested(options), folder, pick_device(options.device), options.resume)
    say(f"done: {folder.path}; report: {report_training(folder)}")


def run_sample(options: Namespace) -> None:
    """`ddpm sample`."""
    targets = {
        "grid": options.grid and file_for(options.grid, ".png"),
        "progressive": options.progressive and file_for(options.progressive, ".png"),
        "animation": options.animation and file_for(options.animation, ".gif", ".webp"),
        "npz": options.npz and file_for(options.npz, ".npz"),
    }
    trained = open_run(options.run, options.weights, pick_device(options.device), assignments(options.set))
    plan = Plan(
        options.num,
        options.sampler,
        options.steps or 0,
        options.spacing,
        options.eta,
        options.seed,
        options.batch_size,
    )
    plan.build()
    p = respaced(trained.process, plan.steps, plan.spacing)
    folder = fresh_folder(options.output_dir)
    chains = sample(p, trained.experiment.data.shape, plan, trained.device)
    watched = WATCHED if targets["animation"] or targets["progressive"] else 0
    drawn, frames = collect(track(chains, plan.batches() * p.schedule.T, "sampling"), plan, watched)
    levels = trained.experiment.data.levels
    pictures = to_pictures(drawn, levels)
    save_each(pictures, folder)
    if targets["grid"]:
        square(pictures).save(targets["grid"])
    if targets["npz"]:
        save_npz(pictures, targets["npz"])
    if targets["animation"]:
        save_animation([square(to_pictures(frame.x, levels)) for frame in frames], targets["animation"])
    if targets["progressive"]:
        moments = [frames[round(i * (len(frames) - 1) / 9)] for i in range(10)]
        rows = torch.stack([to_pictures(frame.x_0[:8], levels) for frame in moments], dim=1)
        tile(rows.flatten(0, 1), len(moments)).save(targets["progressive"])
    say(f"{plan.num} images in {folder}")
    written = {name: str(path) for name, path in targets.items() if path}
    for name, path in written.items():
        say(f"{name}: {path}")
    _report(
        options.json,
        {"images": plan.num, "output_dir": str(folder), **written, "sampler": plan.sampler, "steps": p.schedule.T}
        | {"seed": plan.seed, "weights": trained.weights, "trained_steps": trained.step},
    )


def run_evaluate(options: Namespace) -> None:
    """`ddpm evaluate`."""
    metrics = chosen_metrics(options.metrics)
    plot = options.plot and file_for(options.plot, ".png")
    trained = open_run(options.run, options.weights, pick_device(options.device), assignments(options.set))
    images = images_to_evaluate(trained, options.data, options.split, options.num_images or 0)
    bound = measure_bound(trained, images, options.seed, options.batch_size)
    say(sentence(bound, f"{options.split} images of {options.data}"))
    if plot:
        plot.write_bytes(figures.png(figures.bound_by_t(bound)))
    _report(options.json, result(trained, bound, metrics))


def measure_bound(trained: Trained, images: Any, seed: int, batch_size: int) -> Bound:  # noqa: ANN401
    """The bound, with progress."""
    schedule = trained.process.schedule
    total = math.ceil(len(images) / batch_size) * (schedule.T + 1)
    measured = track(evaluate(trained, images, seed, batch_size), total, "evaluating")
    return summarise(measured, schedule, len(images), math.prod(images.shape))


def sentence(bound: Bound, what: str) -> str:
    """The bound in words."""
    return (
        f"{bound.total:.4f} ± {bound.stderr:.4f} bits/dim on {bound.images} {what}\n"
        f"  L_T {float(bound.by_t[0]):.6f}   L_1..L_(T-1) {float(bound.by_t[2:].sum()):.4f}   "
        f"L_0 {float(bound.by_t[1]):.4f}   (T = {bound.T}, an upper bound on the code length)"
    )


def run_interpolate(options: Namespace) -> None:
    """`ddpm interpolate`."""
    trained = open_run(options.run, options.weights, pick_device(options.device), assignments(options.set))
    data = trained.experiment.data
    first, second = (
        read_image(Path(name).expanduser(), data.shape, data.levels) for name in (options.first, options.second)
    )
    steps = interpolate(trained, first, second, options.timestep, options.num, options.seed)
    last = None
    for step in track(steps, options.timestep + 1, "interpolating"):
        last = step
    assert last is not None
    folder = fresh_folder(options.output_dir)
    pictures = to_pictures(last.x, data.levels)
    save_each(pictures, folder)
    tile(pictures, len(pictures)).save(folder / "row.png")
    say(f"{options.num} images in {folder}, side by side in {folder / 'row.png'}")


def run_schedule(options: Namespace) -> None:
    """`ddpm schedule`."""
    plot = options.plot and file_for(options.plot, ".png")
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
        plot.write_bytes(figures.png(figures.schedule(schedule, name)))
    _report(options.json, {"name": name, **values})


def run_data(options: Namespace) -> None:
    """`ddpm data`."""
    found = describe(options.source)
    if "channels" in found:
        say(
            f"{found['source']}: {found['images']:,} images ({found['train']:,} to train on, {found['test']:,} held out)"
        )
        say(f"{found['channels']} x {found['height']} x {found['width']} (channels, height, width)")
        say(f"{found['levels']} levels, {found['distinct_values']} of them in use; {found['classes']} classes")
    else:
        say(f"{found['source']}: {found['images']:,} images of {len(found['sizes'])} sizes")
        for size in found["sizes"][:10]:
            say(f"  {size['width']} x {size['height']} (width, height): {size['images']:,}")
        if found["sizes"]:
            say(
                "to train on them, give one size: --set data.resolution=HEIGHT,WIDTH (scales to cover it, cuts the centre)"
            )
    say(f"{len(found['broken'])} broken files")
    for broken in found["broken"]:
        say(f"  {broken['file']}: {broken['reason']}")
    _report(options.json, found)


def _report(target: str | None, values: Mapping[str, Any]) -> None:
    """`--json FILE`, or - for standard output."""
    if target == "-":
        say(json.dumps(values))
    elif target:
        write_json(file_for(target), values)


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
    "schedule": run_schedule,
    "data": run_data,
}
