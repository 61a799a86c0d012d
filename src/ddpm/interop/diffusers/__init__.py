"""diffusers: a `UNet2DModel` with a scheduler, in the layouts of its pipelines, of its hub and of its training script.

A key that a configuration does not have takes diffusers' default. What its network can do and ours cannot is refused by name.
"""

from ddpm.interop.diffusers.reading import read, recognises
from ddpm.interop.diffusers.writing import write

__all__ = ["read", "recognises", "write"]
