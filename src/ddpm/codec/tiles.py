"""Images of any size for a model of one: cut in tiles from the top left, the last ones filled up with their edge's pixels.

Tiles of an image are coded together, stage by stage: a prefix shows all of it. Where the numbers of channels differ, a grey
model sees each channel as an image, and a colour model sees a grey image as one of equal channels.
"""

import numpy as np

from ddpm.codec.tables import Whole
from ddpm.errors import Mismatch

Shape = tuple[int, int, int]


def number_of_tiles(shape: Shape, own: Shape) -> int:
    """How many images of the model's `own` shape an image is cut into.

    Raises:
        Mismatch: its channels can be those of no tile.
    """
    channels, height, width = shape
    if channels != own[0] and 1 not in (channels, own[0]):
        raise Mismatch(f"the model is for images of {own[0]} channels, not {channels}")
    planes = channels if own[0] == 1 else 1
    return planes * -(-height // own[1]) * -(-width // own[2])


def cut(image: Whole, own: Shape) -> Whole:
    """(C, H, W) -> (tiles, *own)."""
    planes = image[:, None] if own[0] == 1 else np.broadcast_to(image, (own[0], *image.shape[1:]))[None]
    (_, _, height, width), (_, high, wide) = planes.shape, own
    filled = np.pad(planes, ((0, 0), (0, 0), (0, -height % high), (0, -width % wide)), mode="edge")
    rows, columns = filled.shape[2] // high, filled.shape[3] // wide
    tiles = filled.reshape(len(planes), own[0], rows, high, columns, wide).transpose(0, 2, 4, 1, 3, 5)
    return tiles.reshape(-1, *own)


def join(tiles: np.ndarray, shape: Shape) -> np.ndarray:
    """The way back: (tiles, *own) -> (C, H, W)."""
    (_, of_tile, high, wide), (channels, height, width) = tiles.shape, shape
    rows, columns = -(-height // high), -(-width // wide)
    planes = tiles.reshape(-1, rows, columns, of_tile, high, wide).transpose(0, 3, 1, 4, 2, 5)
    whole = planes.reshape(-1, of_tile, rows * high, columns * wide)[:, :, :height, :width]
    return whole[:, 0] if of_tile == 1 else whole[0][:channels]
