"""Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020): the paper as exact, readable, fast PyTorch.

The usual things, each in a call: `load`, `fit`, `train`, `sample`, `bound`, `images`; and by name the parts they are made of.
``dir(ddpm)`` lists them. Each is imported when it is first asked for: ``import ddpm`` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ddpm.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from ddpm.api import bound as bound
    from ddpm.api import fit as fit
    from ddpm.api import images as images
    from ddpm.api import sample as sample
    from ddpm.api import train as train
    from ddpm.diffusion.bound import Term as Term
    from ddpm.diffusion.bound import bits_per_dim as bits_per_dim
    from ddpm.diffusion.bound import terms as terms
    from ddpm.diffusion.decoder import discretised as discretised
    from ddpm.diffusion.decoder import log_density as log_density
    from ddpm.diffusion.decoder import log_likelihood as log_likelihood
    from ddpm.diffusion.denoiser import from_denoiser as from_denoiser
    from ddpm.diffusion.denoiser import preconditioned as preconditioned
    from ddpm.diffusion.forward import ForwardProcess as ForwardProcess
    from ddpm.diffusion.gaussian import Gaussian as Gaussian
    from ddpm.diffusion.gaussian import kl as kl
    from ddpm.diffusion.objective import OBJECTIVES as OBJECTIVES
    from ddpm.diffusion.objective import Hybrid as Hybrid
    from ddpm.diffusion.objective import simple as simple
    from ddpm.diffusion.objective import variational as variational
    from ddpm.diffusion.objective import weighted as weighted
    from ddpm.diffusion.prediction import PREDICTIONS as PREDICTIONS
    from ddpm.diffusion.prediction import X0 as X0
    from ddpm.diffusion.prediction import Epsilon as Epsilon
    from ddpm.diffusion.prediction import Mean as Mean
    from ddpm.diffusion.prediction import Velocity as Velocity
    from ddpm.diffusion.reverse import ReverseProcess as ReverseProcess
    from ddpm.diffusion.reverse import unit_clamp as unit_clamp
    from ddpm.diffusion.reverse import unlimited as unlimited
    from ddpm.diffusion.schedule import SCHEDULES as SCHEDULES
    from ddpm.diffusion.schedule import Schedule as Schedule
    from ddpm.diffusion.schedule import constant as constant
    from ddpm.diffusion.schedule import cosine as cosine
    from ddpm.diffusion.schedule import jsd as jsd
    from ddpm.diffusion.schedule import linear as linear
    from ddpm.diffusion.schedule import log_snr as log_snr
    from ddpm.diffusion.schedule import quadratic as quadratic
    from ddpm.diffusion.schedule import warmup as warmup
    from ddpm.diffusion.variance import VARIANCES as VARIANCES
    from ddpm.diffusion.variance import FixedLarge as FixedLarge
    from ddpm.diffusion.variance import FixedSmall as FixedSmall
    from ddpm.diffusion.variance import Learned as Learned
    from ddpm.errors import DataError as DataError
    from ddpm.errors import Diverged as Diverged
    from ddpm.errors import Failure as Failure
    from ddpm.errors import Interrupted as Interrupted
    from ddpm.errors import Mismatch as Mismatch
    from ddpm.errors import NotFound as NotFound
    from ddpm.errors import RunWarning as RunWarning
    from ddpm.errors import Stopped as Stopped
    from ddpm.errors import UsageError as UsageError
    from ddpm.evaluation.images.features.extractor import Extractor as Extractor
    from ddpm.evaluation.images.score import Distances as Distances
    from ddpm.evaluation.paired import Difference as Difference
    from ddpm.evaluation.rate import Bound as Bound
    from ddpm.experiment.config import Experiment as Experiment
    from ddpm.experiment.presets import PRESETS as PRESETS
    from ddpm.figures.animation import Animation as Animation
    from ddpm.figures.animation import animate as animate
    from ddpm.figures.images import Images as Images
    from ddpm.models.lucidrains import LucidrainsShape as LucidrainsShape
    from ddpm.models.lucidrains import LucidrainsUNet as LucidrainsUNet
    from ddpm.models.mlp import MLP as MLP
    from ddpm.models.mlp import MLPShape as MLPShape
    from ddpm.models.shape import UNetShape as UNetShape
    from ddpm.models.unet import UNet as UNet
    from ddpm.report.answers.answer import LabAnswer as LabAnswer
    from ddpm.report.answers.lab import lab as lab
    from ddpm.sampling import SAMPLERS as SAMPLERS
    from ddpm.sampling.ancestral import Ancestral as Ancestral
    from ddpm.sampling.chain import Sampler as Sampler
    from ddpm.sampling.chain import Step as Step
    from ddpm.sampling.chain import chain as chain
    from ddpm.sampling.ddim import DDIM as DDIM
    from ddpm.sampling.dpm_solver import DPMSolver as DPMSolver
    from ddpm.sampling.dpm_solver import DPMSolverSDE as DPMSolverSDE
    from ddpm.sampling.dpm_solver import DPMSolverSinglestep as DPMSolverSinglestep
    from ddpm.sampling.edm import Heun as Heun
    from ddpm.sampling.guidance import Guidance as Guidance
    from ddpm.sampling.langevin import Corrected as Corrected
    from ddpm.sampling.langevin import Langevin as Langevin
    from ddpm.sampling.langevin import SongLangevin as SongLangevin
    from ddpm.sampling.multistep import Multistep as Multistep
    from ddpm.sampling.multistep import PredictorCorrector as PredictorCorrector
    from ddpm.sampling.probability_flow import ProbabilityFlow as ProbabilityFlow
    from ddpm.sampling.timesteps import SPACINGS as SPACINGS
    from ddpm.trained.measures.compared import Comparison as Comparison
    from ddpm.trained.measures.compared import compare as compare
    from ddpm.trained.measures.distance import distance as distance
    from ddpm.trained.measures.memorised import memorised as memorised
    from ddpm.trained.measures.real_bytes import RealBytes as RealBytes
    from ddpm.trained.measures.real_bytes import filmstrip as filmstrip
    from ddpm.trained.measures.real_bytes import real_bytes as real_bytes
    from ddpm.trained.model import TrainedModel as TrainedModel
    from ddpm.trained.opening import load as load
    from ddpm.trained.own import model as model
    from ddpm.training.loop import Progress as Progress

_PLACES = {
    "api": ("fit", "train", "sample", "bound", "images"),
    "report.answers.lab": ("lab",),
    "report.answers.answer": ("LabAnswer",),
    "trained.measures.compared": ("compare", "Comparison"),
    "trained.measures.distance": ("distance",),
    "trained.measures.memorised": ("memorised",),
    "trained.measures.real_bytes": ("real_bytes", "filmstrip", "RealBytes"),
    "evaluation.images.score": ("Distances",),
    "evaluation.images.features.extractor": ("Extractor",),
    "trained.model": ("TrainedModel",),
    "trained.own": ("model",),
    "trained.opening": ("load",),
    "figures.images": ("Images",),
    "figures.animation": ("animate", "Animation"),
    "evaluation.rate": ("Bound",),
    "evaluation.paired": ("Difference",),
    "training.loop": ("Progress",),
    "diffusion.schedule": (
        *("Schedule", "linear", "cosine", "quadratic", "constant", "warmup", "jsd", "log_snr", "SCHEDULES"),
    ),
    "diffusion.forward": ("ForwardProcess",),
    "diffusion.reverse": ("ReverseProcess", "unit_clamp", "unlimited"),
    "diffusion.denoiser": ("from_denoiser", "preconditioned"),
    "diffusion.gaussian": ("Gaussian", "kl"),
    "diffusion.prediction": ("Epsilon", "X0", "Mean", "Velocity", "PREDICTIONS"),
    "diffusion.variance": ("FixedLarge", "FixedSmall", "Learned", "VARIANCES"),
    "diffusion.decoder": ("log_likelihood", "discretised", "log_density"),
    "diffusion.bound": ("terms", "Term", "bits_per_dim"),
    "diffusion.objective": ("simple", "weighted", "variational", "Hybrid", "OBJECTIVES"),
    "sampling.chain": ("chain", "Step", "Sampler"),
    "sampling": ("SAMPLERS",),
    "sampling.ancestral": ("Ancestral",),
    "sampling.ddim": ("DDIM",),
    "sampling.dpm_solver": ("DPMSolver", "DPMSolverSinglestep", "DPMSolverSDE"),
    "sampling.multistep": ("Multistep", "PredictorCorrector"),
    "sampling.edm": ("Heun",),
    "sampling.probability_flow": ("ProbabilityFlow",),
    "sampling.langevin": ("Corrected", "Langevin", "SongLangevin"),
    "sampling.guidance": ("Guidance",),
    "sampling.timesteps": ("SPACINGS",),
    "models.shape": ("UNetShape",),
    "models.unet": ("UNet",),
    "models.mlp": ("MLP", "MLPShape"),
    "models.lucidrains": ("LucidrainsShape", "LucidrainsUNet"),
    "experiment.config": ("Experiment",),
    "experiment.presets": ("PRESETS",),
    "errors": (
        *(
            "Failure",
            "UsageError",
            "DataError",
            "NotFound",
            "Mismatch",
            "Diverged",
            "Interrupted",
            "Stopped",
            "RunWarning",
        ),
    ),
}
"""Where each public name is defined, below `ddpm`."""
_MODULES = {name: f"ddpm.{module}" for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # to type checkers a name that is not above is an error

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        """A public name, imported now; it is an ordinary attribute from then on."""
        if name not in _MODULES:
            raise AttributeError(f"module 'ddpm' has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
