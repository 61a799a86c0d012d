"""What the commands that draw images share: options of the sampler, labels, and a set that is drawn in several runs."""

import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ddpm.cli.flags.settings import assignments
from ddpm.cli.terminal.console import note
from ddpm.cli.terminal.words import counted
from ddpm.errors import CannotCreate, Interrupted, UsageError
from ddpm.experiment.duration import in_words
from ddpm.figures.pictures import numbered, text_of
from ddpm.parallel.launch import launched
from ddpm.sampling import Sampler
from ddpm.sampling.images import Plan, Sampled
from ddpm.sampling.langevin import Annealed
from ddpm.trained.draw import check_variance
from ddpm.trained.provenance import differences, read_how_drawn

TOO_LARGE = 2**63
"""No option of a sampler is so large; infinity is, and NaN is not smaller."""


def numbers(options: Namespace) -> dict[str, float]:
    """The sampler's options: --eta, and what --option NAME=NUMBER says.

    Raises:
        UsageError: not a number, or not finite.
    """
    settings = {} if options.eta is None else {"eta": options.eta}
    for name, value in assignments(options.option, "--option NAME=NUMBER").items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < TOO_LARGE:
            raise UsageError(f"--option needs NAME=NUMBER: {name}={value}", "a number below 2^63")
        settings[name] = value
    return settings


def check_sampler(options: Namespace, sampler: Sampler, T: int) -> None:
    """What `ddpm sample` is asked for must concern its sampler; says where too few steps leave noise.

    Raises:
        UsageError: --variance of a sampler that draws with none, where no sheet of others is asked for.
    """
    if not options.compare:
        check_variance(sampler, options.variance)
    if isinstance(sampler, Annealed) and options.steps not in (None, T):
        note(f"ddpm: {options.sampler} needs all {T} steps: in {options.steps} it leaves noise")


LONG, SURE = 120.0, 5.0
"""Seconds: what is worth a word, and after how many it is known how long the whole takes."""


def told_how_long(chains: Iterable[Sampled], total: int, steps: int | None) -> Iterator[Sampled]:
    """The same; says once how to be faster where all `total` of them take long and every step of the chain is gone."""
    began = time.monotonic()
    for place, step in enumerate(chains, 1):
        yield step
        spent = time.monotonic() - began
        if began and spent > SURE:
            if steps is None and (left := spent / place * (total - place)) > LONG:
                note(f"ddpm: this takes about {in_words(left)} more; --sampler ddim --steps 50 looks at fewer steps")
            began = 0.0


def goes_on(folder: Path, common: dict[str, Any]) -> None:
    """What was drawn into a folder before must be of the set that is to be drawn: the first image that says so is asked.

    Raises:
        CannotCreate: it was drawn otherwise.
    """
    there = sorted(folder.glob("[0-9]*.png"))
    if not there:
        return
    known = next((found for path in there if (found := read_how_drawn(text_of(path)))), None)
    if known and (changed := differences(common, known)):
        raise CannotCreate(
            f"the images in {str(folder)!r} were drawn otherwise: {', '.join(changed)}", "give another --output-dir"
        )
    holds = f"ddpm: {str(folder)!r} holds {len(there):,} images already"
    unknown = "they do not say how they were drawn; with the same flags it is one set"
    note(f"{holds}: {'this goes on with them' if known else unknown}")


@contextmanager
def told_how_to_go_on(plan: Plan, folder: Path, sheets: Sequence[str]) -> Iterator[None]:
    """On Ctrl-C: which images are there, and how to draw the others; `sheets` are flags that show what one command draws.

    Raises:
        Interrupted: it was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        done = sum((folder / numbered(row)).exists() for row in plan.rows)
        hints = [f"the same command with --first {plan.first + done} --num {plan.num - done} draws the others"]
        if sheets and done:
            hints.append(f"{', '.join(f'--{flag}' for flag in sheets)} will then hold those alone, not all")
        if launched():  # several processes leave holes
            hints = []
        raise Interrupted(
            f"interrupted: {done:,} of {counted(plan.num, 'image')} {'is' if plan.num == 1 else 'are'} in {folder}",
            *hints,
        ) from None
