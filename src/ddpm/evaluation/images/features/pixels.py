"""The pixels themselves as features: no network, so everybody gets the same numbers."""

from torch.nn import functional as F

from ddpm.evaluation.images.features.extractor import NO_WEIGHTS, Bytes, Extractor, Outputs


class Pixels(Extractor):
    """Pixels on the scale 0..1, of images whose sides are brought down to at most `side` by averaging areas; D = C * height * width.

    With ``side=None`` images keep their size. Images are never enlarged, so two sets have the same D only where both are of one
    size, or at least `side` on each side.
    """

    def __init__(self, side: int | None = 16) -> None:
        self.side = side
        self.name, self.digest = "pixels", NO_WEIGHTS
        size = "own size" if side is None else f"at most {side} pixels a side, areas averaged"
        self.how = f"{size}, divided by 255"

    def outputs(self, images: Bytes) -> Outputs:
        """The pixels of each image in a row, channel by channel."""
        x = images.float() / 255
        if self.side is not None:
            x = F.adaptive_avg_pool2d(x, [min(self.side, length) for length in x.shape[2:]])
        return Outputs(x.flatten(1))
