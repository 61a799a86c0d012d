"""Any network in a TorchScript file as features.

TorchScript is a program, though not Python's: it can use memory and time without end, and whatever torch's operators can do. Open only
files that you trust.
"""

import hashlib
import io
import warnings

import torch

from ddpm.errors import DataError, Mismatch, in_a_line
from ddpm.evaluation.images.features.extractor import Bytes, Extractor, Outputs


class TorchScript(Extractor):
    """A network that takes uint8 (batch, C, H, W), in the images' own channels and size, and gives one row for each, (batch, D, ...).

    Where its `forward` has an argument `return_features`, as that of NVIDIA's Inception, it is asked for features.

    Args:
        name: for the manifest.
        data: the file.

    Raises:
        DataError: it is no TorchScript.
    """

    def __init__(self, name: str, data: bytes | bytearray) -> None:
        self.name, self.digest = name, hashlib.sha256(data).hexdigest()
        self.how = "what the TorchScript file does with uint8"
        try:
            with warnings.catch_warnings():  # torch's own, of a format that others still write
                warnings.simplefilter("ignore", DeprecationWarning)
                self.network = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()
            asked = "return_features" in str(self.network.forward.schema)
        except Exception as error:  # torch has no error of its own for a file that is none
            raise DataError(f"no TorchScript: {name}: {in_a_line(error)}") from error
        self.options = {"return_features": True} if asked else {}

    def outputs(self, images: Bytes) -> Outputs:
        """What the network gives, one row for each image.

        Raises:
            Mismatch: it cannot take such images, or gives something else.
        """
        try:
            with torch.no_grad():
                found = self.network(images, **self.options)
        except RuntimeError as error:
            what = "x".join(map(str, images.shape[1:]))
            raise Mismatch(f"the features {self.name!r} cannot be made of {what} images: {in_a_line(error)}") from error
        if not isinstance(found, torch.Tensor) or found.ndim < 2 or len(found) != len(images):
            raise Mismatch(f"the network {self.name!r} gives no row of features for each image")
        return Outputs(found.flatten(1).float())

    def to(self, device: torch.device) -> "TorchScript":
        """The same on another device."""
        self.network.to(device)
        return self
