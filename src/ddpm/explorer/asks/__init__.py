"""What the page may ask, by name: each ask checks its parameters, computes with the library, and yields answers as they come."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from ddpm.errors import Unavailable, chosen
from ddpm.explorer.asks import about, between, bits, copies, costly, forward, reverse, schedule, training
from ddpm.explorer.asks.asked import Parameters, parameters
from ddpm.explorer.subject import Begun, Subject
from ddpm.explorer.worker import Steps

TOGETHER, MOST = "together", 8
"""The ask for several in one stream, and how many it may be."""
ASKS: Mapping[str, tuple[type[Parameters], Callable[[Subject, Any], Steps]]] = {
    "model": (about.Nothing, about.model),
    "images": (about.Some, about.images),
    "code": (about.Code, about.code),
    "noised": (forward.Noised, forward.noised),
    "terms": (forward.Terms, forward.terms),
    "reverse": (reverse.Reverse, reverse.reverse),
    "schedule": (schedule.Asked, schedule.schedule),
    "costly": (costly.Costly, costly.costly),
    "bits": (bits.Bits, bits.bits),
    "between": (between.Between, between.between),
    "copies": (copies.Copies, copies.copies),
    "training": (training.Training, training.training),
}
BEFORE: Mapping[str, tuple[type[Parameters], Callable[[Begun, Any], Steps]]] = {
    "model": (about.Nothing, about.run),
    "code": (about.Code, about.code),
    "training": (training.Training, training.training),
}
"""What is answered before a run has a checkpoint."""


class One(Parameters):
    """An ask by its name."""

    name: str
    parameters: dict[str, Any]


class Together(Parameters):
    """Several asks whose answers come in one stream: a browser opens but a few to one server."""

    asks: Annotated[list[One], Field(min_length=1, max_length=MOST)]


def together(subject: Subject, asked: Together) -> Steps:
    """A piece of each in turn; `of` says which of them an answer belongs to."""
    running = {i: _alone(subject, one.name, one.parameters) for i, one in enumerate(asked.asks)}
    while running:
        for i, steps in list(running.items()):
            try:
                answer = next(steps)
            except StopIteration:
                del running[i]
            else:
                yield None if answer is None else {**answer, "of": i}


def answers(subject: Subject | Begun, name: str, given: Mapping[str, Any]) -> Steps:
    """What is computed for an ask, piece by piece.

    Raises:
        UsageError: there is no such ask.
        Unavailable: it needs a model, and there is none yet.
        NoAsk: its parameters are wrong.
    """
    if isinstance(subject, Begun):
        return _before(subject, name, given)
    return together(subject, parameters(Together, given)) if name == TOGETHER else _alone(subject, name, given)


def _alone(subject: Subject, name: str, given: Mapping[str, Any]) -> Steps:
    kind, ask = chosen(ASKS, name, "ask")
    return ask(subject, parameters(kind, given))


def _before(begun: Begun, name: str, given: Mapping[str, Any]) -> Steps:
    if name in {TOGETHER, *ASKS} - set(BEFORE):
        raise Unavailable(f"no checkpoint yet in {begun.name!r}")
    kind, ask = chosen(BEFORE, name, "ask")
    return ask(begun, parameters(kind, given))
