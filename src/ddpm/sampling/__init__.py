"""Algorithm 2 and its relatives: from noise to images, every step handed out."""

from collections.abc import Callable, Mapping

from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Sampler
from ddpm.sampling.ddim import DDIM
from ddpm.sampling.dpm_solver import DPMSolver, DPMSolverSDE, DPMSolverSinglestep
from ddpm.sampling.edm import Heun
from ddpm.sampling.langevin import Corrected, Langevin, SongLangevin
from ddpm.sampling.multistep import Multistep, PredictorCorrector
from ddpm.sampling.probability_flow import ProbabilityFlow

SAMPLERS: Mapping[str, Callable[..., Sampler]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "dpm-solver": DPMSolver,
    "dpm-solver-2s": DPMSolverSinglestep,
    "dpm-solver-sde": DPMSolverSDE,
    "multistep": Multistep,
    "unipc": PredictorCorrector,
    "heun": Heun,
    "flow": ProbabilityFlow,
    "corrected": Corrected,
    "langevin": Langevin,
    "langevin-ncsn": SongLangevin,
}
