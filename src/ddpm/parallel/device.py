"""Where to compute."""

import torch

from ddpm.errors import UsageError
from ddpm.parallel.launch import local_number


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" takes a CUDA GPU where there is one (Apple's must be asked for: they are not tested).

    On a GPU, convolutions of float32 are computed in float32, not in TF32: what is measured is what is said.

    Raises:
        UsageError: this machine has no such device.
    """
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if found["cuda"] else "cpu"
    if not found.get(name):
        raise UsageError(
            f"this machine has no device {name!r}", " or ".join(f"`device={n}`" for n in found if found[n])
        )
    torch.backends.cudnn.allow_tf32 = False
    if name == "cuda":
        torch.cuda.set_device(local_number() % torch.cuda.device_count())
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(name)
