"""Algorithm 2 and its relatives: from noise to images, every step handed out."""

from collections.abc import Callable, Mapping

from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Sampler
from ddpm.sampling.ddim import DDIM
from ddpm.sampling.dpm_solver import DPMSolver, DPMSolverSDE

SAMPLERS: Mapping[str, Callable[..., Sampler]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "dpm-solver": DPMSolver,
    "dpm-solver-sde": DPMSolverSDE,
}
