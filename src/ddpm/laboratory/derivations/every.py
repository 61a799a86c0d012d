"""All derivations by name, in the order in which they build on each other."""

from collections.abc import Mapping

from ddpm.laboratory.derivations import bound, decoder, divergence, forward, mean
from ddpm.laboratory.derivations.line import Derivation

DERIVATIONS: Mapping[str, Derivation] = {
    found.name: found for module in (forward, divergence, bound, decoder, mean) for found in module.DERIVATIONS
}
