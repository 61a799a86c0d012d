"""The configurations of diffusers' schedulers, read as a schedule and a process of ours, and written."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ddpm.errors import SHOWN, UsageError
from ddpm.experiment.config import TABLE, ProcessConfig, ScheduleConfig

DEFAULTS: Mapping[str, Any] = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "variance_type": "fixed_small",
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "prediction_type": "epsilon",
    "thresholding": False,
    "rescale_betas_zero_snr": False,
}
"""What `DDPMScheduler` takes where its configuration says nothing."""
KINDS = {
    "num_train_timesteps": (int,),
    "beta_start": (float, int),
    "beta_end": (float, int),
    "trained_betas": (list, type(None)),
    "clip_sample": (bool,),
    "thresholding": (bool,),
    "rescale_betas_zero_snr": (bool,),
}
CLIPPING = ("DDPM", "DDPMParallel", "DDIM", "DDIMParallel", "DDIMInverse", "RePaint")
WITHOUT_CLIPPING = (
    *(
        "DPMSolverMultistep",
        "DPMSolverMultistepInverse",
        "DPMSolverSinglestep",
        "DPMSolverSDE",
        "UniPCMultistep",
        "PNDM",
    ),
    *("DEISMultistep", "SASolver", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "LMSDiscrete"),
    *("KDPM2Discrete", "KDPM2AncestralDiscrete"),
)
"""Schedulers of a variance-preserving process, by their names without "Scheduler": these never limit the estimates of x_0."""
PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
VARIANCES = {
    "fixed_small": "fixed-small",
    "fixed_small_log": "fixed-small",
    "fixed_large": "fixed-large",
    "fixed_large_log": "fixed-large",
    "learned_range": "learned",
}
LIMIT = {True: "unit-clamp", False: "unlimited"}


def whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """With diffusers' defaults for what it does not say.

    Raises:
        UsageError: the scheduler is not known, or is of another kind of process.
        TypeError: a value is of another kind than diffusers writes.
    """
    name = str(config.get("_class_name", DEFAULTS["_class_name"])).removesuffix("Scheduler")
    if name not in (*CLIPPING, *WITHOUT_CLIPPING):
        raise UsageError(f"diffusers' {name[:SHOWN]}Scheduler is not supported")
    found = {**DEFAULTS, **({"clip_sample": False} if name in WITHOUT_CLIPPING else {}), **config}
    for key, kinds in KINDS.items():
        if type(found[key]) not in kinds:
            raise TypeError(f"{key} is {str(found[key])[:SHOWN]!r}")
    return found


def process_of(config: Mapping[str, Any]) -> ProcessConfig:
    """How the network is read: prediction, variance, limit.

    Raises:
        UsageError: it is read in a way that we do not know; which is named.
    """
    for key, known in (("prediction_type", PREDICTIONS), ("variance_type", VARIANCES)):
        if config[key] not in known:
            raise UsageError(f"a scheduler with {key} = {str(config[key])[:SHOWN]!r} is not supported")
    if config["thresholding"]:
        raise UsageError(
            "a scheduler with dynamic thresholding is not supported: its estimates are no function of an image"
        )
    if config["clip_sample"] and config["clip_sample_range"] != 1:
        raise UsageError(
            f"a scheduler with clip_sample_range = {config['clip_sample_range']} is not supported: images are in [-1, 1]"
        )
    return ProcessConfig(
        prediction=PREDICTIONS[config["prediction_type"]],
        variance=VARIANCES[config["variance_type"]],
        limit=LIMIT[bool(config["clip_sample"])],
    )


def schedule_of(config: Mapping[str, Any]) -> ScheduleConfig:
    """The schedule: by name where ours has the same numbers, else as a table of betas.

    diffusers computes in float32; ours are the numbers that it rounds.

    Raises:
        UsageError: a schedule that is not known, or that makes no diffusion.
    """
    T, first, last = config["num_train_timesteps"], float(config["beta_start"]), float(config["beta_end"])
    kind, table = config["beta_schedule"], config["trained_betas"]
    if not 1 <= T <= 100_000:
        raise UsageError(f"a scheduler with num_train_timesteps = {T} is not supported: 1 to 100,000 are")
    if table is not None:
        if len(table) != T:
            raise ValueError(f"{len(table)} trained_betas for num_train_timesteps = {T}")
        return _table([float(beta) for beta in table], zero_snr=config["rescale_betas_zero_snr"])
    if config["rescale_betas_zero_snr"]:
        return _table(_betas(kind, T, first, last).tolist(), zero_snr=True)
    if kind == "linear":
        return ScheduleConfig("linear", T, {"beta_1": first, "beta_T": last})
    if kind == "scaled_linear":
        return ScheduleConfig("quadratic", T, {"beta_1": first, "beta_T": last})
    if kind == "squaredcos_cap_v2":
        return ScheduleConfig("cosine", T)
    return _table(_betas(kind, T, first, last).tolist(), zero_snr=False)


def _betas(kind: str, T: int, first: float, last: float) -> Tensor:
    """The betas of a schedule of diffusers by its name."""
    if kind == "linear":
        return torch.linspace(first, last, T, dtype=torch.float64)
    if kind == "scaled_linear":
        return torch.linspace(math.sqrt(first), math.sqrt(last), T, dtype=torch.float64) ** 2
    if kind == "sigmoid":
        return torch.linspace(-6, 6, T, dtype=torch.float64).sigmoid() * (last - first) + first
    if kind == "squaredcos_cap_v2":
        return ScheduleConfig("cosine", T).build(256).beta[1:]
    raise UsageError(f"a scheduler with beta_schedule = {str(kind)[:SHOWN]!r} is not supported")


def _table(betas: list[float], *, zero_snr: bool) -> ScheduleConfig:
    if zero_snr:
        betas = _without_signal(torch.tensor(betas, dtype=torch.float64)).tolist()
    return ScheduleConfig(TABLE, len(betas), beta=tuple(betas))


def _without_signal(beta: Tensor) -> Tensor:
    r"""Shifted and scaled so that :math:`\sqrt{\bar\alpha_T} = 0` and the first one stays (Lin et al. 2024, algorithm 1)."""
    root = (1 - beta).cumprod(0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alpha_bar = root**2
    return 1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])


def config_of(schedule: ScheduleConfig, process: ProcessConfig, levels: int) -> dict[str, Any]:
    """The configuration of a `DDPMScheduler` for the same process.

    Raises:
        UsageError: diffusers knows no such prediction.
    """
    predictions = {ours: theirs for theirs, ours in PREDICTIONS.items()}
    if process.prediction not in predictions:
        raise UsageError(f"diffusers knows no prediction of the {process.prediction}")
    built = schedule.build(levels)
    linear = (
        {"beta_start": float(built.beta[1]), "beta_end": float(built.beta[-1])} if schedule.name == "linear" else {}
    )
    return {
        **DEFAULTS,
        "num_train_timesteps": schedule.T,
        **linear,
        "trained_betas": None if linear else built.beta[1:].tolist(),
        "variance_type": {"fixed-small": "fixed_small", "fixed-large": "fixed_large", "learned": "learned_range"}[
            process.variance
        ],
        "clip_sample": process.limit == "unit-clamp",
        "prediction_type": predictions[process.prediction],
    }
