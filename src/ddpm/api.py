"""The usual things, each in one call: open, train, sample, score. Each is the loop below it, and what the command line does."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm.checkpoints import Noted
from ddpm.checks import check_whole
from ddpm.data.splits import DEFAULT, asked
from ddpm.diffusion.decoder import discretised, levels_of, log_likelihood
from ddpm.diffusion.objective import OBJECTIVES, Objective
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import Ending, Mismatch, RunWarning, UsageError, chosen, warn
from ddpm.evaluation.rate import Bound, measure, summarise
from ddpm.experiment.duration import in_words
from ddpm.experiment.request import SHORT, path_of, says_how_long
from ddpm.figures.images import Data, Images, image_set, images_of
from ddpm.figures.progress import followed
from ddpm.models.mode import evaluating
from ddpm.models.unet import UNet
from ddpm.parallel.device import pick_device
from ddpm.parallel.launch import number
from ddpm.run.asked import asked_for
from ddpm.run.ending import ended_in_order, heard
from ddpm.run.events import Event, Expected, Started, Stepped
from ddpm.run.folder import RunFolder
from ddpm.run.given_data import keep, source_of
from ddpm.run.imported import own_folder
from ddpm.run.pace import ends_by_time
from ddpm.run.plan import DAY, refuse
from ddpm.run.start import start_of
from ddpm.sampling import Sampler
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan, finished, finite
from ddpm.sampling.images import sample as draw
from ddpm.trained.measured_curve import kept_curve, measured_curve
from ddpm.trained.model import TrainedModel
from ddpm.trained.opening import load
from ddpm.training import loop
from ddpm.training.loop import Batch, Progress, batches_of, repeated
from ddpm.training.optimizer import OPTIMIZERS
from ddpm.training.trainer import Recipe

ANCESTRAL = Ancestral()


def fit(
    data: Data | None,
    output_dir: str | Path,
    *,
    preset: str | None = None,
    steps: int | None = None,
    budget: float | str | None = None,
    conditional: bool = False,
    curve: bool = False,
    resume: str = "auto",
    init_from: str | Path | None = None,
    init_weights: str = "ema",
    change: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    **fields: Any,  # noqa: ANN401
) -> TrainedModel:
    """Train a model in a run folder: what `ddpm train` does, with all its guarantees, from a script or a notebook.

    The same call again goes on where training stopped, to the bit; so does ``fit(None, output_dir)``. Ctrl-C finishes the step,
    saves and stops; once more leaves at once, with the last checkpoint. Under `torchrun` the processes train together.

    Args:
        data: a source's name or path. Arrays, tensors, Pillow images and Images are kept in the run folder, as data.npz. None: what
            the run in the folder was started with.
        output_dir: the run folder: config.json, checkpoints, metrics.jsonl, samples, logs.
        preset: a name of `ddpm.PRESETS`. If not given, that of the run in the folder, or of `init_from`; else "digits" for the
            digits, "laptop" on a CPU (an hour of training), else "small".
        steps: of training in all.
        budget: how long to train instead, in seconds, or such as "30m" or "2h": wall-clock time, over all calls together.
        conditional: whether the classes of the data are learned, for `sample(label=...)`.
        curve: whether what ``spacing="optimal"`` and ``variance="optimal"`` need of the network is measured at the end.
        resume: "auto" goes on if there is a run, "never" refuses then, else a checkpoint to go on from.
        init_from: a run, or a checkpoint, with whose weights a new run begins at step 0. Its preset, network and process stay where
            nothing else is given.
        init_weights: which of its weights: "ema", "raw", or another average of that run.
        change: what a run has otherwise from here on: ``{"training.lr": 1e-4}``, or "training.batch_size".
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "mps".
        settings: of config.json by their paths: ``{"model.channels": 32}``.
        progress: whether a bar is shown, on a terminal or in a notebook.
        **fields: further settings by their short names: `batch_size`, `lr`, `seed`, `schedule`, `prediction`, `variance`,
            `objective`, `precision`, and any that no other setting shares, such as ``resolution=32``.

    Returns:
        The model on the moving average of the weights, as `load` gives it.

    Warns:
        RunWarning: what the command says as it goes: files that cannot be read, damaged checkpoints, other versions; and
            that all will take more than a day.

    Raises:
        UsageError: a setting that does not exist, or is impossible; or neither `steps` nor `budget` was given for a preset
            that takes more than a day on this machine.
        Interrupted, Stopped: on Ctrl-C (a KeyboardInterrupt), or on another signal, once the state is saved.
        Failure: of every kind that `ddpm.errors` lists. Whatever happens, the last checkpoint stays whole.

    Example:
        >>> import ddpm
        >>> tiny = {"model.channels": 8, "model.multipliers": [1, 2], "model.groups": 4, "model.blocks": 1, "schedule.T": 10}
        >>> model = ddpm.fit("digits", "runs/tiny", steps=2, batch_size=8, settings=tiny, progress=False)
        >>> model.step
        2
    """
    folder = RunFolder(own_folder(output_dir))
    short = {name: fields.pop(name) for name in SHORT if name in fields} | {"steps": steps, "budget": budget}
    named = {path_of(name): value for name, value in fields.items()} | dict(settings or {})
    if "data.source" in named:
        raise UsageError("the images are those of data: give it the source, and no setting data.source")
    source = None if data is None else source_of(folder, data)
    chosen_device, start_from = pick_device(str(device)), start_of(resume, change or {})
    begun = {"init_from": init_from, "init_weights": init_weights, "device_type": chosen_device.type}
    experiment = asked_for(folder, start_from, source, preset, None, short, named, conditional=conditional, **begun)
    if data is not None:
        keep(folder, data, experiment, start_from)
    consent = None if says_how_long(None, short, named) else refuse
    with ended_in_order(experiment, folder, chosen_device, start_from, _leave, heard, consent) as (_, events):
        started = next(events)
        assert isinstance(started, Started)
        for note in started.notes:
            _warn(note)
        by_time = ends_by_time(started.experiment)
        left = None if by_time else max(started.experiment.training.steps - started.step, 0)
        with followed(_steps(events), left, "training", progress) as shown:
            for _ in shown:
                pass
    model = load(folder.path, device=chosen_device.type)
    if curve and not number() and kept_curve(model.loaded) is None:
        measured_curve(model.loaded, lambda errors, _: errors)
    return model


def _steps(events: Iterator[Event]) -> Iterator[Stepped]:
    """Those of all events that are steps; what the others note is said."""
    for event in events:
        if isinstance(event, Noted):
            _warn(event.text)
        elif isinstance(event, Expected) and event.seconds > DAY:
            _warn(f"this training takes about {in_words(event.seconds)}")
        elif isinstance(event, Stepped):
            yield event


def _warn(text: str) -> None:
    """Of several processes the first one does."""
    if not number():
        warn(text, RunWarning)


def train(
    p: ReverseProcess,
    data: Data | Iterable[Batch],
    *,
    steps: int,
    batch_size: int = 128,
    lr: float = 2e-4,
    objective: str | Objective = "simple",
    optimizer: torch.optim.Optimizer | str | None = None,
    ema: float | None = 0.9999,
    conditional: bool | None = None,
    seed: int = 0,
) -> Iterator[Progress]:
    """Train a network of your own: Algorithm 1, step by step. The network of `p` is changed in place.

    Args:
        p: its network is any `nn.Module` (x_t, timestep) -> output, or (x_t, timestep, label) if the data have labels.
        data: a tensor (N, ...), Images, a source's name or path, or any iterable of batches, such as a DataLoader: x_0, or
            (x_0, labels). It is gone through again and again.
        steps: how many.
        batch_size: of data that are no batches yet.
        lr: the learning rate, where no optimiser of your own is given.
        objective: a name of `ddpm.OBJECTIVES`, or a function of (p, x_0, t, eps).
        optimizer: "adam" (if not given), "muon" (for dense layers and convolutions, else Adam; for some
            hundreds of steps and more, at an `lr` of 2e-3 to 2e-2), or any of `torch.optim` on the
            network's parameters.
        ema: the decay of a moving average of the weights, `progress.average`; None for none.
        conditional: whether the network is told the labels of images; None: if there is a UNet with classes in it. All are
            told as they are: to guide later, give batches of your own in which some labels are -1. (Batches that hold labels
            are told always.)
        seed: of the order of the data, times, noise and dropout.

    Raises:
        UsageError: nothing to train or to train on, no such objective or optimiser, or a batch that is none.
        Diverged: too many steps in a row were not finite.

    Example:
        >>> import ddpm
        >>> network = ddpm.UNet(ddpm.UNetShape(channels=8, multipliers=(1,), attention=(), blocks=1, groups=4), 1, 1)
        >>> p = ddpm.ReverseProcess(network, ddpm.cosine(T=100))
        >>> [progress.step for progress in ddpm.train(p, ddpm.images("digits"), steps=2, batch_size=8)]
        [1, 2]
    """
    _check_process(p)
    if not isinstance(p.network, torch.nn.Module) or not any(w.requires_grad for w in p.network.parameters()):
        raise UsageError(f"there is nothing to train: the network is {type(p.network).__name__}", "give an nn.Module")
    steps, seed = check_whole("steps", steps, 1), check_whole("seed", seed)
    batches = _batches(p.network, data, check_whole("batch_size", batch_size, 1), seed, conditional=conditional)
    chosen_objective = chosen(OBJECTIVES, objective, "objective") if isinstance(objective, str) else objective
    if not callable(chosen_objective):
        raise UsageError(f"an objective is a name, or a function of (p, x_0, t, eps), not {chosen_objective!r}")
    if not isinstance(optimizer, torch.optim.Optimizer | str | None):
        raise UsageError(
            f"an optimizer is {', '.join(OPTIMIZERS)} or one of torch.optim, not {optimizer!r}",
            "torch.optim.Adam(network.parameters())",
        )
    if not isinstance(lr, int | float) or not 0 < lr < math.inf:
        raise UsageError(f"the learning rate must be a number more than 0: {lr!r}")
    if ema is not None and (not isinstance(ema, int | float) or not 0 <= ema < 1):
        raise UsageError(f"the decay of the moving average must be at least 0 and less than 1: {ema!r}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = chosen(OPTIMIZERS, "adam" if optimizer is None else optimizer, "optimizer")(p.network, lr)
    recipe = Recipe(steps=steps, batch_size=batch_size, ema_decay=ema or 0.0, seed=seed)
    return loop.train(p, batches, chosen_objective, optimizer, recipe)


def _check_process(p: object) -> None:
    """Refuse what is no process, such as the network alone."""
    if not isinstance(p, ReverseProcess):
        raise UsageError(
            f"p is a ddpm.ReverseProcess, not {type(p).__name__}", "ddpm.ReverseProcess(network, schedule)"
        )


def _batches(
    network: torch.nn.Module, data: Data | Iterable[Batch], batch_size: int, seed: int, *, conditional: bool | None
) -> Iterator[Batch]:
    """Of a tensor, of images or of batches, without end."""
    if isinstance(data, Tensor):
        x_0, labels = data, None
    elif isinstance(data, str | Path | np.ndarray | Images | Image.Image) or _are_pictures(data):
        found = images_of(image_set(data, "train"))  # pyright: ignore[reportArgumentType]
        x_0, labels = found.tensor, found.labels
    elif not isinstance(data, Iterable):
        raise UsageError(f"there is nothing to train on: {type(data).__name__}", "data are images, or batches of them")
    else:
        return repeated(data)  # pyright: ignore[reportArgumentType] (it is none of the pictures)
    if not x_0.ndim or not len(x_0):
        raise UsageError("there is nothing to train on: the data are empty")
    told = _takes_labels(network) if conditional is None else conditional
    if told and labels is None:
        raise UsageError("the network is for classes, and the data have no labels", "give batches (x_0, labels)")
    return batches_of(x_0, labels if told else None, batch_size, seed)


def _are_pictures(data: object) -> bool:
    return isinstance(data, list | tuple) and bool(data) and all(isinstance(one, Image.Image) for one in data)


def _takes_labels(network: torch.nn.Module) -> bool:
    """Whether it is a network of ours for classes, or has one in it; of others only the caller knows."""
    return any(isinstance(part, UNet) and part.shape.classes for part in network.modules())


def _leave(failure: Ending) -> None:
    """At once, from another thread: the main one waits for a process that is gone."""
    heard(str(failure))
    os._exit(failure.code)


def images(
    source: Data,
    split: str = "all",
    *,
    resolution: int | tuple[int, int] | None = None,
    channels: int | None = None,
    levels: int | None = None,
    layout: str | None = None,
    max_broken: float = DEFAULT.max_broken,
) -> Images:
    """Images of a source, in memory: what may be given to all that takes data.

    Args:
        source: "digits", a path to a folder of images or to a file of them, "hf:OWNER/NAME"; or an array, a tensor, Pillow images.
        split: "train", "test", "all", or "validation" where there is one beside the two.
        resolution: height and width, or one number for both; None keeps the size. Scaled to cover it, the centre cut out.
        channels: 1 or 3; None keeps them.
        levels: how many values a pixel's channel can have, of data that do not say it; None takes 256, or 65536 of uint16 files.
        layout: what the axes of an array are, in a file or not: "NHW", "NCHW" or "NHWC"; None takes what it or its shape says.

        max_broken: the fraction of the files that may be unreadable; these are left out.

    Raises:
        NotFound, DataError, UsageError: no such source; damaged files; real numbers off the levels; no such layout.

    Example:
        >>> import ddpm
        >>> ddpm.images("digits", "test")
        Images(300 of 1x8x8, 17 levels)
    """
    return images_of(image_set(source, split, asked(resolution, channels, levels, layout, max_broken), levels or 256))


def sample(
    p: ReverseProcess,
    shape: tuple[int, ...],
    sampler: Sampler | str = ANCESTRAL,
    *,
    steps: int | None = None,
    spacing: str = "uniform",
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw from any process: Algorithm 2, or another sampler. Example i depends on `seed` and i alone.

    Args:
        p: any network read as a Markov chain.
        shape: of the result: (N, C, H, W), or (N, D) for points.
        sampler: such as ``ddpm.DDIM()``, a name of `ddpm.SAMPLERS`, or one of your own.
        steps: how many of the T steps are visited; None for all.
        spacing: which ones: a name of "uniform", "quadratic", "trailing", "leading", "log-snr".
        seed: of all random numbers.
        batch_size: examples at a time.
        device: where to compute; None: where the network is.

    Returns:
        x_0, of `shape`, float32, on the CPU.

    Raises:
        UsageError: too many steps, no such spacing or sampler, or a size that is none.
        Diverged: what the network gives is not finite.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x, t: torch.zeros_like(x), ddpm.linear(T=1000))
        >>> ddpm.sample(p, (2, 3, 8, 8), ddpm.DDIM(), steps=10).shape
        torch.Size([2, 3, 8, 8])
    """
    _check_process(p)
    p = FewSteps(_steps_asked(steps), spacing).of(p)
    if not isinstance(shape, Sequence) or len(shape) < 2:
        raise UsageError(f"the shape is that of the result, (N, C, H, W), or (N, D) for points, not {shape!r}")
    n, *example = (check_whole("a size", size) for size in shape)
    plan = Plan(n, sampler, seed=check_whole("seed", seed), batch_size=check_whole("batch_size", batch_size, 1))
    with evaluating(p.network):
        drawn = finished(finite(draw(p, tuple(example), plan, _place(p, device))))
        return torch.cat([torch.zeros(0, *example), *(x for _, x in drawn)])


def _steps_asked(steps: int | None) -> int | None:
    return None if steps is None else check_whole("steps", steps, 1)


def _place(p: ReverseProcess, device: torch.device | str | None) -> torch.device:
    """The device that is asked for, or the one that the network is on."""
    if device is not None:
        return device if isinstance(device, torch.device) else pick_device(str(device))
    weights = p.network.parameters() if isinstance(p.network, torch.nn.Module) else iter(())
    return next((weight.device for weight in weights), torch.device("cpu"))


def bound(
    p: ReverseProcess,
    x_0: Data,
    levels: int | None = None,
    *,
    seed: int = 0,
    batch_size: int = 128,
    device: torch.device | str | None = None,
) -> Bound:
    """The variational bound of images under any process (Eq. 5): L_T, every L_{t-1} and L_0 of every image, in bits/dim.

    Args:
        p: any network read as a Markov chain. Where it has the decoder of every process, which is for 256 levels, it is read
            with that for the images' levels instead; a decoder of its own (``ddpm.discretised(17)``) stays.
        x_0: a tensor (N, C, H, W) in [-1, 1], on the levels, or any other images.
        levels: how many values a pixel's channel can have, of data that do not say it; None: as many as p's decoder has, or 256.
        seed: of the noise.
        batch_size: images at a time.
        device: where to compute; None: where the network is.

    Raises:
        UsageError: there are no images, or real numbers outside [-1, 1] or off the levels.
        Diverged: what the network gives is not finite.
        Mismatch: p's own decoder is for other levels than the images have.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x, t: torch.zeros_like(x), ddpm.linear(T=100, beta_T=0.2))
        >>> found = ddpm.bound(p, ddpm.images("digits")[:4])
        >>> found.images, found.T, bool(found.total > found.L_0)
        (4, 100, True)
    """
    _check_process(p)
    own = levels_of(p.decoder)
    found = image_set(x_0, "all", levels=(own or 256) if levels is None else levels)
    if not len(found):
        raise UsageError("there are no images to score")
    if p.decoder is log_likelihood:
        p = replace(p, decoder=discretised(found.levels))
    elif own not in (None, found.levels):
        raise Mismatch(
            f"the decoder of p is for {own} levels, and the images have {found.levels}",
            f"p with decoder=ddpm.discretised({found.levels}) scores them",
        )
    seed, batch_size = check_whole("seed", seed), check_whole("batch_size", batch_size, 1)
    with evaluating(p.network):
        measured = measure(p, found, seed, batch_size, _place(p, device))
        return summarise(measured, p.schedule, len(found), math.prod(found.shape))
