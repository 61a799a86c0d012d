"""Which steps a shorter chain keeps: ascending steps of 1..T, always with T, from which N(0, I) is a fair start.

The last kept step always jumps to the clean image: no spacing stops early (`Schedule.respace` takes care).
"""

from collections.abc import Callable, Mapping


def uniform(T: int, count: int) -> list[int]:
    """`count` steps evenly from 1 to T (T alone if it is one)."""
    return _rounded([1 + (T - 1) * i / (count - 1) for i in range(count)] if count > 1 else [T], T, count)


def quadratic(T: int, count: int) -> list[int]:
    """Steps whose square roots are even, denser near the image (Song et al. 2021, appendix D)."""
    low, high = 1.0, T**0.5
    roots = [low + (high - low) * i / (count - 1) for i in range(count)] if count > 1 else [high]
    return _rounded([root**2 for root in roots], T, count)


def _rounded(times: list[float], T: int, count: int) -> list[int]:
    """To distinct integers in 1..T: none below its place from the start, none above its place from the end."""
    if not 1 <= count <= T:
        raise ValueError(f"a chain of {T} steps can keep 1..{T} of them, not {count}")
    steps: list[int] = []
    for i, time in enumerate(times):
        previous = steps[-1] if steps else 0
        steps.append(min(max(round(time), previous + 1), T - (count - 1 - i)))
    return steps


SPACINGS: Mapping[str, Callable[[int, int], list[int]]] = {"uniform": uniform, "quadratic": quadratic}
