"""What the page may ask, by name: each ask checks its parameters, computes with the library, and yields answers as they come."""

from collections.abc import Callable, Mapping
from typing import Any

from ddpm.errors import chosen
from ddpm.explorer.asks import about, between, bits, copies, costly, forward, reverse, schedule, training
from ddpm.explorer.asks.asked import Parameters, parameters
from ddpm.explorer.subject import Subject
from ddpm.explorer.worker import Steps

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


def answers(subject: Subject, name: str, given: Mapping[str, Any]) -> Steps:
    """What is computed for an ask, piece by piece.

    Raises:
        UsageError: there is no such ask.
        NoAsk: its parameters are wrong.
    """
    kind, ask = chosen(ASKS, name, "ask")
    return ask(subject, parameters(kind, given))
