"""Models that come with the package, `ddpm:NAME`: read wherever a run is, with no training and no network.

Of each there is a folder: config.json, the moving average of the weights in half precision, and the codec's profiles, which were
measured for exactly these weights. `benchmarks/shipped_mnist.py` made them.
"""

from collections.abc import Mapping
from importlib.resources import files

from torch import Tensor

from ddpm.errors import chosen
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import from_dict
from ddpm.interop.foreign import Foreign
from ddpm.storage import strict, tensorfile

PREFIX, FORMAT = "ddpm:", "ddpm"
STEPS = {"ddpm:mnist": 8000}
"""Of the training of each, by its name."""
CONFIG, WEIGHTS, CODECS = "config.json", "weights.safetensors", "codecs"


def is_name(path: object) -> bool:
    """Whether it is a name of such a model, there or not, and no path."""
    return str(path).startswith(PREFIX)


def read(name: str) -> Foreign:
    """A model by its name; its weights are float32, with the values of half precision.

    Raises:
        UsageError: there is none of this name.
    """
    step, folder = chosen(STEPS, name, "model of the package"), files(__name__) / name.removeprefix(PREFIX)
    experiment = from_dict(strict.parse((folder / CONFIG).read_bytes()))
    weights = whole(tensorfile.tensors_in(bytearray((folder / WEIGHTS).read_bytes()))[1])
    profiles = {f"{CODECS}/{one.name}": one.read_bytes() for one in (folder / CODECS).iterdir()}
    return Foreign(FORMAT, experiment, weights, weights, step, _facts(experiment, step), profiles)


def whole(half: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights as they are computed with."""
    return {name: tensor.float() for name, tensor in half.items()}


def _facts(experiment: Experiment, step: int) -> Mapping[str, str]:
    network = f"{experiment.size()[1]:,} parameters in half precision"
    trained = f"{step:,} steps of {experiment.training.batch_size} images of {experiment.data.source}"
    return {"network": network, "trained": trained}
