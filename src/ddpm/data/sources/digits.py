"""The embedded source: 1,797 handwritten digits of 8x8 pixels and 17 levels (UCI optdigits, carried by scikit-learn).

The split is fixed: 300 images held out, those of `train_test_split(..., test_size=300, random_state=0)`.
"""

import numpy as np
import torch

from ddpm.data.imageset import ImageSet

LEVELS = 17
HELD_OUT = 300


def read(part: str) -> ImageSet:
    """The digits: 1,497 for "train", 300 for "test"."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 (a second to import)

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(pixels))
    rows = {"train": order[HELD_OUT:], "test": order[:HELD_OUT], "all": np.arange(len(order))}[part]
    images = torch.from_numpy(pixels[rows].astype(np.uint8)).reshape(-1, 1, 8, 8)
    return ImageSet("digits", images, LEVELS, torch.from_numpy(labels[rows].astype(np.int64)))
