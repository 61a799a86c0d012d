"""Models that others trained, and ours for others: one file for each format, both ways where the format can hold it.

A format reads a folder or a file into a `Foreign`: an experiment, the weights under the names of our network, and what there
is to know of them. No file can run anything: weights are safetensors, or the tensors alone of a torch file (`files`).
"""

from ddpm.interop.foreign import Foreign, Told
from ddpm.interop.formats import WRITERS, read, recognised

__all__ = ["WRITERS", "Foreign", "Told", "read", "recognised"]
