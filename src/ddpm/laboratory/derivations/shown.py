"""A derivation with its numbers: lines and slips in their places, for a schedule, a t and a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass

from ddpm.diffusion.schedule import Schedule
from ddpm.errors import UsageError
from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.line import Derivation, Line

SLIP = Text("The notes have this in its place.", "노트에는 이 자리에 이렇게 적혀 있다.")


@dataclass(frozen=True)
class At:
    """Where the numbers are taken: a step t = 2..T and a pixel x_0 in [-1, 1]."""

    t: int
    x_0: float


def place_at(T: int, t: int | None, x_0: float) -> At:
    """Where the numbers of a chain of T steps are taken; if no t is given, at three tenths of it, at least 2."""
    return At(max(2, round(0.3 * T)) if t is None else t, x_0)


@dataclass(frozen=True)
class Row:
    """A line, or what the notes have in its place (`erratum` is its name); `off` is how far its value is from the first line's."""

    name: str
    tex: str
    rule: Text
    code: str
    value: float
    off: float
    erratum: str = ""


def rows(derivation: Derivation, schedule: Schedule, at: At, seed: int) -> Sequence[Row]:
    """The lines in order, each slip behind the line that it stands for.

    Args:
        derivation: one of `every.DERIVATIONS`.
        schedule: of T steps.
        at: t and x_0; what speaks of the whole chain, or of its last step, takes no t.
        seed: of the noise.

    Raises:
        UsageError: t or x_0 is out of range.
    """
    if not 2 <= at.t <= schedule.T:
        raise UsageError(f"a derivation needs a t of 2..{schedule.T}: {at.t}", "t = 1 is the decoder's step, L_0")
    if not -1 <= at.x_0 <= 1:
        raise UsageError(f"a pixel lies in [-1, 1]: {at.x_0}")
    place = derivation.place(schedule, at.t, at.x_0, seed)
    first = float(derivation.lines[0].value(place))
    found: list[Row] = []
    for number, line in enumerate(derivation.lines):
        found.append(_row(line, float(line.value(place)), first))
        for slip in derivation.slips:
            if slip.at == number:
                value = float(slip.value(place))
                found.append(Row("", slip.tex, SLIP, slip.code, value, value - first, slip.erratum))
    return found


def _row(line: Line, value: float, first: float) -> Row:
    return Row(line.name, line.tex, line.rule, line.code, value, value - first)
