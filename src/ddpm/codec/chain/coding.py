"""Images to stacks and back. A group of images shares a stack: each is hidden in bits that those before it left there.

An image pops its noise and pushes itself, step by step from the pixels to x_K (Bit-Swap: Kingma, Abbeel & Ho 2019): what it
adds to the stack is its bound. The first image finds an empty stack. Where a progressive code is given, the first images are
coded by that, and what it says of them lies on the stack as bits for the others. Else the first step of an image is rounding, which
pops nothing, and leaves there most of the bits that its other steps pop.
"""

from collections.abc import Generator, Sequence

import numpy as np

from ddpm.codec.chain.profile import ChainProfile
from ddpm.codec.chain.stack import Stack
from ddpm.codec.chain.steps import WholeStep, steps_of
from ddpm.codec.coder import Reader, Writer
from ddpm.codec.denoiser import Asked, Estimate, answered
from ddpm.codec.profile import Level, Profile
from ddpm.codec.progressive import said
from ddpm.codec.tables import Real, Whole
from ddpm.errors import DataError

GROUP = 64
"""Images on a stack, at most: to read one of them, those above it are read too."""
ENOUGH = 3.5
"""Bits for each number of an image on the stack, where its steps can be as fine as they are together."""
ALONE, EITHER = 0, np.ones((1, 2), dtype=np.int64)

Asking = Generator[tuple[Real, Level], Estimate, list[Whole]]


def encode(
    groups: Sequence[Sequence[Whole]], profile: ChainProfile, denoiser: Asked, first: Profile | None = None
) -> list[bytes]:
    """Groups of images (D,) of whole values, each group as one string. The network sees one image of every group at once.

    `first` is the profile of the progressive code, if the first images of a group are to be coded by that.

    Raises:
        ValueError: a group has more than `GROUP` images.
    """
    if any(len(group) > GROUP for group in groups):
        raise ValueError(f"at most {GROUP} images on a stack")
    stacks = [Stack() for _ in groups]
    answered([_push_all(profile, stack, group, first) for stack, group in zip(stacks, groups, strict=True)], denoiser)
    return [stack.bytes() for stack in stacks]


def decode(
    stacks: Sequence[bytes],
    sizes: Sequence[Sequence[int]],
    profile: ChainProfile,
    denoiser: Asked,
    first: Profile | None = None,
) -> list[list[Whole]]:
    """The images of each group, of `sizes` numbers; `first` as it was for `encode`.

    Raises:
        DataError: one is damaged, or something is left of it.
    """
    return answered([_pop_all(profile, Stack(one), of, first) for one, of in zip(stacks, sizes, strict=True)], denoiser)


def _push_all(profile: ChainProfile, stack: Stack, images: Sequence[Whole], first: Profile | None) -> Asking:
    for number, x in enumerate(images):
        way = int(number > 0 and stack.bits >= ENOUGH * len(x))
        if first is not None and way == ALONE:
            writer = Writer()
            yield from said(first, writer, len(x), x)
            stack.push_bytes(writer.stream())
        else:
            yield from _push(_steps(profile, way, number, len(x)), stack, x)
        if number > 0:
            stack.push(np.array([way]), EITHER)
    return list(images)


def _pop_all(profile: ChainProfile, stack: Stack, sizes: Sequence[int], first: Profile | None) -> Asking:
    images = []
    for number, size in reversed(list(enumerate(sizes))):
        way = int(stack.pop(EITHER)[0]) if number > 0 else ALONE
        if first is not None and way == ALONE:
            known = yield from said(first, Reader(stack.pop_bytes(), whole=True), size, None)
            images.append(known.pixels.astype(np.int64))
        else:
            images.append((yield from _pop(_steps(profile, way, number, size), stack)))
    if stack.bits:
        raise DataError("the coded bits are damaged")
    return images[::-1]


def _steps(profile: ChainProfile, way: int, number: int, size: int) -> list[WholeStep]:
    return steps_of(profile.levels, profile.steps, (profile.alone, profile.together)[way], number, size)


def _push(steps: list[WholeStep], stack: Stack, x: Whole) -> Generator[tuple[Real, Level], Estimate, None]:
    """From the image, k_0, to x_K."""
    k_before, x_before = x, steps[0].x_before(x)
    for step in steps:
        k = step.pop_forward(stack, x_before)
        x_t = step.x(k)
        estimate = yield x_t, step.level
        step.push_backward(stack, k, estimate, k_before)
        k_before, x_before = k, x_t
    steps[-1].push_prior(stack, k_before)


def _pop(steps: list[WholeStep], stack: Stack) -> Generator[tuple[Real, Level], Estimate, Whole]:
    """From x_K to the image: what was pushed last is popped first."""
    k = steps[-1].pop_prior(stack)
    for step in reversed(steps):
        estimate = yield step.x(k), step.level
        k_before = step.pop_backward(stack, k, estimate)
        step.push_forward(stack, step.x_before(k_before), k)
        k = k_before
    return k
