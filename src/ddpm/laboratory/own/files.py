"""Files that the codec of a run writes, beside what the bound of its network accounts for (Q5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ddpm.laboratory.answer import Table, Text
from ddpm.laboratory.own.subject import BATCH, Subject
from ddpm.sampling.images import evenly
from ddpm.trained.measures.real_bytes import OURS, measure

FEW = 16
"""Images that are coded, at most."""


@dataclass(frozen=True)
class InFiles:
    """What is said of real files, with their table, and the curve of (bits/dim, RMSE on 0..255); these are empty without a codec."""

    text: Text
    tables: Sequence[Table] = ()
    curve: Sequence[tuple[float, float]] = ()


def in_files(subject: Subject, goal: float) -> InFiles:
    """The first images as files: what they take, how far above the bound that is, and when their error is down to `goal`."""
    codec = subject.codec()
    if isinstance(codec, Text):
        return InFiles(codec)
    some = subject.images.take(torch.arange(min(FEW, len(subject.images))))
    found = measure(codec, some, BATCH, lambda parts, count: subject.followed(parts, count, "compressing"), formats={})
    bound = float(subject.by_network.bound.per_image[: len(some)].mean())
    above, size = found.bits_per_dim / bound, found.lossless[OURS]
    until = found.bytes_at(goal)
    assert until is not None  # the last point is exact
    curve = [(found.rate(point.bytes), point.rmse) for point in found.curves[OURS]]
    shown = sorted(set(evenly(len(curve), 10)))
    rows = [(found.curves[OURS][i].bytes, *curve[i]) for i in shown]
    return InFiles(
        Text(
            f"In real files: the first {len(some)} of the images take {size:,.1f} bytes each, header included, and come back "
            f"exactly; that is {found.bits_per_dim:.4f} bits/dim, {above:.3f} times the bound of these images "
            f"({bound:.4f}). Cut after {until:,.1f} bytes ({found.rate(until):.4f} bits/dim), they are within {goal:.1f} of 255.",
            f"실제 파일: 이미지 가운데 처음 {len(some)}장은 머리말까지 한 장에 {size:,.1f}바이트가 들고 그대로 돌아온다. "
            f"{found.bits_per_dim:.4f} bits/dim으로, 이 이미지들의 변분 경계({bound:.4f})의 {above:.3f}배다. "
            f"{until:,.1f}바이트({found.rate(until):.4f} bits/dim)에서 자르면 오차가 255 기준 {goal:.1f} 이하다.",
        ),
        [Table(("bytes of a file", "rate, bits/dim, real files", "RMSE on 0..255, real files"), rows)],
        curve,
    )
