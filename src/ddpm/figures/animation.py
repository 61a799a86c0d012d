"""A chain as a moving picture: an image on its way into noise (Eq. 2, 4) and, of a trained model, back (Algorithm 2)."""

import io
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ddpm.checks import check_whole
from ddpm.data.decoding.exact import BYTES
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.schedule import SCHEDULES, Schedule
from ddpm.errors import UsageError, chosen
from ddpm.figures.images import Data, Images, a_photo, image_set, one_image
from ddpm.figures.pictures import FORMATS, enlarged, save_animation, to_pictures
from ddpm.sampling.images import evenly
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch, Noise

SIDE = 160
"""Small images are enlarged, pixel by pixel, to at least this side."""
MOST = 64
"""The larger side of a picture of any size whose animation no size was asked of."""


@dataclass(frozen=True, eq=False)
class Animation:
    """A moving picture of a chain; a notebook plays it. It rests on the last frame for two seconds, and starts again.

    Args:
        tensor: (frames, C, H, W), x_t of each frame: [-1, 1] of an image, beyond it of noise. A picture shows the nearest level.
        steps: t of each frame: a step of the chain that was drawn, which goes up to S where it was asked for S steps.
        levels: how many values a pixel's channel can have.
        seconds: how long it takes, without the rest.

    Example:
        >>> import ddpm
        >>> digit = ddpm.images("digits")[0]
        >>> moving = ddpm.animate(digit, ddpm.cosine(T=100), frames=11)
        >>> moving.steps
        (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
        >>> moving.save("forward.gif").name
        'forward.gif'
    """

    tensor: Tensor
    steps: tuple[int, ...]
    levels: int = BYTES
    seconds: float = 6.0

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.tensor.shape[1:]))
        turn = max(range(len(self)), key=self.steps.__getitem__)
        stations = dict.fromkeys((self.steps[0], self.steps[turn], self.steps[-1]))
        if 0 < turn < len(self) - 1 and self.steps[0] == self.steps[-1]:
            return f"Animation({len(self)} frames of {shape}, t = {' to '.join(map(str, stations))} and back)"
        return f"Animation({len(self)} frames of {shape}, t = {' to '.join(map(str, stations))})"

    def __len__(self) -> int:
        return len(self.tensor)

    def pil(self) -> list[Image.Image]:
        """The frames as Pillow images, grey or RGB, small ones enlarged."""
        return [enlarged(picture, SIDE) for picture in to_pictures(self.tensor, self.levels)]

    def save(self, path: str | Path) -> Path:
        """Write it: .png is exact in every colour, .webp too; a .gif has 256 colours, which are enough for grey.

        Raises:
            UsageError: the name has another ending.
        """
        place = Path(path).expanduser()
        if place.suffix.lower() not in FORMATS:
            raise UsageError(f"an animation's name ends in {', '.join(FORMATS)}, not {place.suffix!r}: {str(path)!r}")
        place.parent.mkdir(parents=True, exist_ok=True)
        save_animation(self.pil(), place, self.seconds)
        return place

    def _repr_png_(self) -> bytes:
        """For a notebook: a PNG that moves."""
        file = io.BytesIO()
        save_animation(self.pil(), file, self.seconds)
        return file.getvalue()


def animate(
    image: Data,
    schedule: Schedule | str = "linear",
    *,
    resolution: int | tuple[int, int] | None = None,
    frames: int = 40,
    seed: int = 0,
) -> Animation:
    """An image on its way into noise: one draw of the forward process, x_0 to x_T. It needs no model.

    Args:
        image: a path, a Pillow image, an array, a tensor or Images: one.
        schedule: a Schedule, such as ``ddpm.cosine(T=250)``, or a name of `ddpm.SCHEDULES`, of T = 1000; the paper's is "linear".
        resolution: height and width of a path or a Pillow image, or one number for both: scaled to cover it, the centre cut out.
            None keeps the size, of a larger one the shape, with a longer side of 64.
        frames: at most so many, evenly spaced in t, the ends included.
        seed: of the noise.

    Raises:
        UsageError: several images, a number that is none, or no such schedule.
        NotFound, DataError: it cannot be read.

    Example:
        >>> import ddpm
        >>> from PIL import Image
        >>> ddpm.animate(Image.new("RGB", (400, 300)), frames=5)
        Animation(5 frames of 3x48x64, t = 0 to 1000)
    """
    found, count = _one(image, resolution), check_whole("frames", frames, 2)
    q = ForwardProcess(schedule if isinstance(schedule, Schedule) else chosen(SCHEDULES, schedule, "schedule")())
    noise = NoiseForEach([generator(check_whole("seed", seed), "animate", 0)])
    eps = noise(found.tensor)
    return still(forward(q, found.tensor, eps, q.schedule.T, noise, count), found.levels)


def forward(
    q: ForwardProcess, x_0: ImageBatch, eps: ImageBatch, t: int, noise: Noise, count: int
) -> list[tuple[int, ImageBatch]]:
    """At most `count` states of one draw of q(x_{1:t}|x_0), from x_0 to the x_t that eps makes (Eq. 4).

    It is drawn from its end: x_t first, then each x_{s-1} ~ q(x_{s-1}|x_s, x_0) (Eq. 6-7), which is the same distribution as the
    steps of Eq. 2 from x_0 on.
    """
    wanted = set(evenly(t + 1, count))
    x, states = q.sample(x_0, t, eps), []
    for s in range(t, -1, -1):
        if s in wanted:
            states.append((s, x))
        if s:
            x = q.posterior(x, x_0, s).sample(noise(x))
    return states[::-1]


def still(states: list[tuple[int, ImageBatch]], levels: int) -> Animation:
    """The states (t, x_t) of a chain, (1, C, H, W) each, as frames."""
    return Animation(torch.cat([x for _, x in states]), tuple(t for t, _ in states), levels)


def _one(image: Data, resolution: int | tuple[int, int] | None) -> Images:
    """The image of its own size, or of the one asked for."""
    photo = None if isinstance(image, Images) else a_photo(image, (), BYTES)
    if photo is None:
        found = image_set(image, "all")
        if len(found) != 1:
            raise UsageError(f"one image is needed, not {len(found)}")
        return Images(found.scaled(), found.levels)
    width, height = photo.size
    shrunk = min(1.0, MOST / max(width, height))
    size = (max(1, round(height * shrunk)), max(1, round(width * shrunk))) if resolution is None else resolution
    height, width = size if isinstance(size, tuple) else (size, size)
    channels = 1 if photo.picture.mode == "L" else 3
    return Images(one_image(image, (channels, height, width), BYTES), BYTES)
