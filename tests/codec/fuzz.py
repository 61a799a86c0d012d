"""Files that are wrong on purpose, read by a codec that costs no time; as a program, without the tests' checks of types.

`python -m tests.codec.fuzz tiny 100000 0`: which codec, how many files, and the seed.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from ddpm.codec import container
from ddpm.codec.container import Header
from ddpm.errors import DataError, Mismatch
from tests.codec.source import tiny, toy

PER_NUMBER = 256
"""Bytes of memory for each number of an image and its tiles, which is what a file may ask for; and 64 MB.

Beginnings and all of an image of 1,048,576 numbers took 192 to 224.
"""
PLAIN = 24
"""The same where the pixels are stored, or nothing is known of them."""


def images():
    """Coded by the model, in four tiles; stored by zlib; and as it is."""
    rng = np.random.default_rng(6)
    usual = np.rint(rng.normal(127.5, 10, (1, 7, 8))).astype(np.int64)
    return [usual, np.indices((1, 4, 4)).sum(0) % 2 * 255, rng.integers(0, 256, (1, 4, 4))]


def tiny_images():
    """Coded by the model, in four tiles; and stored in both ways."""
    usual = np.array([[7, 8, 7], [8, 8, 7], [7, 8, 8]])
    return [usual[None], np.full((1, 9, 2), 15), np.array([[[0, 15], [9, 2]]])]


VICTIMS = {"usual": (toy, images), "tiny": (tiny, tiny_images)}


def hostile(rng, seeds, name):
    """A file that is wrong somewhere, with the model's name, lengths and checksum as they should be or nearly."""
    file = seeds[rng.integers(len(seeds))]
    header, payload = container.unpack(file)
    payload = bytearray(payload)
    for _ in range(rng.integers(0, 4)):
        kind, at = rng.integers(5), int(rng.integers(len(payload) + 1))
        if kind == 0 and payload:
            payload[at % len(payload)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            payload = payload[:at]
        elif kind == 2:
            payload[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 3:
            payload[at:] = rng.bytes(len(payload) - at)
        else:
            payload += bytes([int(rng.integers(256))]) * int(rng.integers(1, 40))
    sides = (None, (1, 4, 4), (1, 7, 8), (1, 8, 7), (3, 4, 4), (1, 1, 16), (2, 1, 1), (1, 20, 20))
    shape = header.shape if rng.random() < 0.5 else sides[rng.integers(len(sides))]
    length = len(payload) if rng.random() < 0.8 else int(rng.integers(0, 300))
    coding = header.coding if rng.random() < 0.8 else int(rng.integers(0, 4))
    crc = header.crc if rng.random() < 0.9 else int(rng.integers(2**32))
    packed = bytearray(Header(coding, name, crc, length, shape).pack() + bytes(payload))
    if rng.random() < 0.2:
        packed[int(rng.integers(len(packed)))] = int(rng.integers(256))
    return bytes(packed)


def fuzz(which, many, seed):
    """What became of so many files: each a declared error, the image of that checksum, or an estimate; in little time and memory."""
    codec, made = VICTIMS[which][0](), VICTIMS[which][1]()
    files, original = codec.compress(made), {x.tobytes() for x in made}
    rng = np.random.default_rng(seed)
    told, slowest, asked = {"exact": 0, "estimate": 0, "error": 0}, 0.0, 0
    before = peak_memory()
    for trial in range(many):
        file = hostile(rng, files, codec.name)
        began = time.process_time()
        try:
            (found,) = codec.decompress([file])
        except (DataError, Mismatch):
            told["error"] += 1
        else:
            told["exact" if found.exact else "estimate"] += 1
            assert not found.exact or found.pixels.tobytes() in original, (trial, file.hex())
            assert np.isfinite(found.pixels).all(), (trial, file.hex())
            plain = found.coding == "stored" or found.stage == "nothing"
            asked = max(asked, found.pixels.size * (PLAIN if plain else PER_NUMBER))
        slowest = max(slowest, time.process_time() - began)
    more = peak_memory(anew=False) - before
    assert slowest < 1, slowest
    assert more < 2**26 + asked, more
    assert min(told.values()) > many / 200, told
    return f"{many:,} files: {told}, the slowest took {slowest:.3f} s, {more / 1e6:.1f} MB more"


def peak_memory(*, anew=True):
    """Bytes that this process has had at most, from now on (where the system counts `anew`)."""
    if anew:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    print(fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
