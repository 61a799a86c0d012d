"""The source "digits": 1,797 handwritten digits of 8x8 pixels and 17 levels, in `digits.npz` beside this file.

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (CC BY 4.0, see `digits.LICENSE`), in the order of
scikit-learn's `load_digits`. The file was written once, from ``found = load_digits()``:
``np.savez_compressed(FILE, images=found.images.astype(np.uint8), labels=found.target.astype(np.uint8))``
The split is fixed: 300 images are held out, those of scikit-learn's `train_test_split(..., test_size=300, random_state=0)`.
"""

from pathlib import Path

import numpy as np
import torch

from ddpm.data.imageset import ImageSet

FILE = Path(__file__).with_name("digits.npz")
LEVELS = 17
HELD_OUT = 300


def read(part: str) -> ImageSet:
    """The digits, (N, 1, 8, 8) with labels (N,): 1,497 for "train", 300 for "test", 1,797 for "all"."""
    with np.load(FILE, allow_pickle=False) as file:
        pixels, labels = file["images"], file["labels"]
    order = np.random.RandomState(0).permutation(len(pixels))
    rows = {"train": order[HELD_OUT:], "test": order[:HELD_OUT], "all": np.arange(len(order))}[part]
    images = torch.from_numpy(pixels[rows])[:, None]
    return ImageSet("digits", images, LEVELS, torch.from_numpy(labels[rows].astype(np.int64)))
