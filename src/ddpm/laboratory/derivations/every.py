"""All derivations by name, in the order in which they build on each other."""

from collections.abc import Mapping, Sequence

from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations import bound, decoder, divergence, forward, mean
from ddpm.laboratory.derivations.line import Derivation
from ddpm.laboratory.derivations.shown import At, Row, rows

DERIVATIONS: Mapping[str, Derivation] = {
    found.name: found for module in (forward, divergence, bound, decoder, mean) for found in module.DERIVATIONS
}


def derived(setting: Setting, at: At) -> Mapping[str, Sequence[Row]]:
    """The lines of all of them with their numbers.

    Raises:
        UsageError: t or x_0 is out of range.
    """
    return {name: rows(derivation, setting.schedule, at, setting.seed) for name, derivation in DERIVATIONS.items()}
