"""Algorithm 2 and its relatives: from noise to images, every step handed out."""

from collections.abc import Callable, Mapping

from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Sampler
from ddpm.sampling.ddim import DDIM

SAMPLERS: Mapping[str, Callable[..., Sampler]] = {"ancestral": Ancestral, "ddim": DDIM}
