"""What a question is and what its answer holds: words in two languages, tables, a figure; no printing here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from ddpm.diffusion.schedule import Schedule
from ddpm.errors import UsageError
from ddpm.language import Text

SETTING, SEED, NOTHING = frozenset({"schedule", "seed"}), frozenset({"seed"}), frozenset()
Cell = float | int | str


@dataclass(frozen=True)
class Table:
    """Numbers in rows, in full precision. Columns and words in cells, like the labels of figures, are English.

    In Korean they are shown by the catalogue `figures/korean.json`.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Answer:
    """In a few sentences, with the numbers they rest on."""

    text: Text
    tables: Sequence[Table]
    figure: Figure


@dataclass(frozen=True, eq=False)
class Setting:
    """What the user may vary: the schedule and what it is called, and the seed of what is simulated.

    Raises:
        UsageError: T is 1: then there is no reverse kernel besides the decoder, and hardly a question; or alpha_bar_T = 0,
            where eps says nothing of x_0.
    """

    schedule_name: str
    schedule: Schedule
    seed: int = 0

    def __post_init__(self) -> None:
        if self.T < 2:
            raise UsageError(f"the laboratory needs at least 2 steps: {self.T}")
        if float(self.schedule.alpha_bar[-1]) == 0:
            raise UsageError(
                f"{self.schedule_name} ends at alpha_bar_T = 0, and half of the questions are about eps; take another"
            )

    @property
    def T(self) -> int:
        """Steps of the chain."""
        return self.schedule.T

    @property
    def label(self) -> str:
        """For captions."""
        return f"{self.schedule_name}, T = {self.T}"


@dataclass(frozen=True)
class Question:
    """As the notes ask it: `where` is their file and line, `equations` what answers it in the paper or the ledger.

    `uses` says which parts of a setting the experiment takes; what it does not take it chooses itself.
    """

    name: str
    where: str
    asked: Text
    equations: str
    tex: str
    experiment: Callable[[Setting], Answer] = field(repr=False)
    uses: frozenset[str] = SETTING
