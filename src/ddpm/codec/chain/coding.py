"""Images to stacks and back. A group of images shares a stack: each is hidden in bits that those before it left there.

An image pops its noise and pushes itself, step by step from the pixels to x_K (Bit-Swap: Kingma, Abbeel & Ho 2019): what it
adds to the stack is its bound. The first image finds an empty stack. Where a progressive code is given, the first images are
coded by that, and their bytes lie on the stack as bits that the others pop. Else the first step of an image is rounding, which
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
from ddpm.codec.progressive import code_image
from ddpm.codec.tables import Real, Whole
from ddpm.errors import DataError

GROUP = 64
"""Images on a stack, at most: to read one of them, those above it are read too."""
ENOUGH = 3.5
"""Bits for each number of an image on the stack, where its steps can be as fine as they are together.

Chosen on 128 training images of MNIST (from number 58,120 on, in groups of 64; `ddpm:mnist` in float32): with 2.6, 3.5 and 4.5
the groups have 15,010, 14,894 and 14,911 bytes.
"""
EITHER = np.ones((1, 2), dtype=np.int64)

Asking = Generator[tuple[Real, Level], Estimate, list[Whole]]


def encode(
    groups: Sequence[Sequence[Whole]], profile: ChainProfile, denoiser: Asked, progressive: Profile | None = None
) -> list[bytes]:
    """Groups of images (D,) of whole values, each group as one string. The network sees one image of every group at once.

    `progressive` is the profile of the progressive code, if the first images of a group are to be coded by that. An image that
    is the only one of its group is coded both ways then, and the shorter string is kept.

    Raises:
        ValueError: a group has more than `GROUP` images.
    """
    if any(len(group) > GROUP for group in groups):
        raise ValueError(f"at most {GROUP} images on a stack")
    tried = [(row, 0) for row in range(len(groups))]
    if progressive is not None:
        tried += [(row, 1) for row, group in enumerate(groups) if len(group) == 1]
    stacks = [Stack() for _ in tried]
    run = [
        _push_all(profile, stack, groups[row], progressive, way)
        for stack, (row, way) in zip(stacks, tried, strict=True)
    ]
    answered(run, denoiser, _levels(progressive))
    found: dict[int, bytes] = {}
    for stack, (row, _) in zip(stacks, tried, strict=True):
        string = stack.bytes()
        found[row] = min(found.get(row, string), string, key=len)
    return [found[row] for row in range(len(groups))]


def decode(
    stacks: Sequence[bytes],
    sizes: Sequence[Sequence[int]],
    profile: ChainProfile,
    denoiser: Asked,
    progressive: Profile | None = None,
) -> list[list[Whole]]:
    """The images of each group, of `sizes` numbers; `progressive` as it was for `encode`.

    Raises:
        DataError: one is damaged, or something is left of it.
    """
    run = [_pop_all(profile, Stack(one), of, progressive) for one, of in zip(stacks, sizes, strict=True)]
    return answered(run, denoiser, profile.steps)


def _levels(progressive: Profile | None) -> Sequence[Level]:
    """Those of the first images: they are coded first, and read last."""
    return () if progressive is None else (*progressive.noisy, *progressive.fine)


def _push_all(
    profile: ChainProfile, stack: Stack, images: Sequence[Whole], progressive: Profile | None, first_way: int
) -> Asking:
    """All images, the first one in the way 0 or 1. Way 0 is the progressive code, if there is one; above an image lies its way."""
    for number, x in enumerate(images):
        way = int(stack.bits >= ENOUGH * len(x)) if number > 0 else first_way
        if progressive is not None and not way:
            writer = Writer()
            yield from code_image(progressive, writer, len(x), x)
            stack.push_bytes(writer.stream())
        else:
            yield from _push(_steps(profile, way, number, len(x)), stack, x)
        if number > 0 or progressive is not None:
            stack.push(np.array([way]), EITHER)
    return list(images)


def _pop_all(profile: ChainProfile, stack: Stack, sizes: Sequence[int], progressive: Profile | None) -> Asking:
    images = []
    for number, size in reversed(list(enumerate(sizes))):
        way = int(stack.pop(EITHER)[0]) if number > 0 or progressive is not None else 0
        if progressive is not None and not way:
            known = yield from code_image(progressive, Reader(stack.pop_bytes(), whole=True), size, None)
            images.append(known.pixels.astype(np.int64))
        else:
            images.append((yield from _pop(_steps(profile, way, number, size), stack)))
    if stack.bits:
        raise DataError("the coded bits are damaged")
    return images[::-1]


def _steps(profile: ChainProfile, way: int, number: int, size: int) -> list[WholeStep]:
    spacings = profile.together if way and number > 0 else profile.alone
    return steps_of(profile.levels, profile.steps, spacings, number, size)


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
