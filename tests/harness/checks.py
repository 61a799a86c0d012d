"""Types and shapes of all that the tests call, checked at run time: an int is a float where a float is asked for.

jaxtyping's hook writes `jaxtyped` above every function; its own binds the arguments and checks them twice, which took
more than half of the time of the mathematics' tests. This one asks beartype once, and gives names of axes a place only
where there are some.
"""

import dataclasses
import functools
import inspect
from typing import get_args

import jaxtyping
from beartype import BeartypeConf, beartype

_within = jaxtyping.jaxtyped
_typed = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))


def check(*packages: str) -> None:
    """Whatever is imported of the packages from now on checks its arguments and what it returns."""
    jaxtyping.jaxtyped = lambda typechecker: checked
    jaxtyping.install_import_hook(packages, None)


def checked(made):
    """A function, or a dataclass and its `__init__`, that refuses what its annotations do not allow."""
    if inspect.isclass(made):
        own = made.__dict__.get("__init__")
        if dataclasses.is_dataclass(made) and own and not hasattr(own, "__wrapped__"):
            made.__init__ = checked(own)
        return made
    if isinstance(made, classmethod | staticmethod):
        return type(made)(checked(made.__func__))
    typed = _typed(made)
    if not any(_has_axes(hint) for hint in made.__annotations__.values()):
        return typed

    return _stepwise(made, typed) if inspect.isgeneratorfunction(made) else _at_once(made, typed)


def _at_once(made, typed):
    @functools.wraps(made)
    def within(*args, **more):
        with _within("context"):
            return typed(*args, **more)

    return within


def _stepwise(made, typed):
    """A generator's arguments are checked when its first item is asked for: names of axes have their place until then."""

    @functools.wraps(made)
    def within(*args, **more):
        steps, end = typed(*args, **more), object()
        with _within("context"):
            item = next(steps, end)
        try:
            while item is not end:
                yield item
                item = next(steps, end)
        finally:
            steps.close()

    return within


def _has_axes(hint) -> bool:
    """Whether an annotation holds an array with names of axes; one in quotes may."""
    if isinstance(hint, str) or (inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray)):
        return True
    return any(_has_axes(part) for part in get_args(hint))
