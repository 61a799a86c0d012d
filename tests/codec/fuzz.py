"""Files that are wrong on purpose, read by a codec that costs no time; as a program, without the tests' checks of types.

`python -m tests.codec.fuzz tiny 100000 0`: which codec, how many files, and the seed.
"""

import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ddpm.codec import archive, container
from ddpm.codec.archive import Archive
from ddpm.codec.container import Header
from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.trained.archived import are_sound
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
    packed = Header(coding, name, crc, length, shape).pack() + bytes(payload)
    return _damaged(rng, packed) if rng.random() < 0.2 else packed


def _damaged(rng, file):
    """With one byte that is another, and no checksum repaired."""
    damaged = bytearray(file)
    damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
    return bytes(damaged)


class Alone:
    """Files of one image: progressive ones and stored ones, read whole or as the beginnings that they are."""

    outcomes = "exact", "estimate"

    def __init__(self, codec, images):
        self.codec, self.files = codec, codec.compress(images)
        self.originals = {image.tobytes() for image in images}

    def hostile(self, rng):
        """As the function."""
        return hostile(rng, self.files, self.codec.name)

    def read(self, _rng, file):
        """Which of the outcomes it is, and how much memory it may take."""
        (found,) = self.codec.decompress([file])
        assert not found.exact or found.pixels.tobytes() in self.originals
        assert np.isfinite(found.pixels).all()
        plain = found.coding == "stored" or found.stage == "nothing"
        return "exact" if found.exact else "estimate", found.pixels.size * (PLAIN if plain else PER_NUMBER)


class Chained:
    """Files that a chain coded, and archives: of groups that were coded and stored, cut, swapped, or with wrong tables.

    Archives are read whole or as what was cut, all of their images or some.
    """

    outcomes = "exact", "part"

    def __init__(self, codec):
        rng = np.random.default_rng(3)
        usual = [np.rint(rng.normal(7.5, 0.6, (1, side, side))).astype(np.int64) for side in (2, 2, 2, 3, 2, 4)]
        noise = [rng.integers(0, 16, (1, 2, 2)) for _ in range(3)]
        self.codec, self.files = codec, codec.compress(usual, container.CHAIN)
        groups = usual[:3], usual[3:5], usual[5:], noise
        self.groups = [group for of in groups for group in archive.coded(codec, [("a", image) for image in of])]
        assert {group.stored for group in self.groups} == {True, False}
        self.originals = {(image.shape, image.tobytes()) for image in usual + noise}

    def hostile(self, rng):
        """A file of one image as of the function, or an archive."""
        if rng.random() < 0.3:
            return hostile(rng, self.files, self.codec.named(container.CHAIN))
        groups = [self.groups[i] for i in rng.integers(len(self.groups), size=rng.integers(1, 5))]
        groups = [self.wrong(rng, group) if rng.random() < 0.3 else group for group in groups]
        file = Archive(self.codec.named(container.ARCHIVE), tuple(groups)).pack()
        header, rest = container.unpack(file)
        kind = rng.integers(8)
        if kind < 3:  # cut short
            return file[: len(file) - int(rng.integers(len(rest) if kind == 0 else 20))]
        if kind == 3:  # of another length than the table says, though not cut short
            rest = rest[: -int(rng.integers(1, 9))] if rng.random() < 0.5 else rest + rng.bytes(int(rng.integers(1, 9)))
            return replace(header, length=len(rest)).pack() + rest
        if kind == 4:
            return _damaged(rng, file)
        return file

    def wrong(self, rng, group):
        """A group with another payload, other images, or said to be what it is not; its table's checksum is right."""
        kind, entries, payload = rng.integers(6), group.entries, bytearray(group.payload)
        if kind == 0:
            payload = self.groups[rng.integers(len(self.groups))].payload
        elif kind == 1:
            shapes = (None, (1, 2, 2), (1, 3, 3), (2, 1, 1), (3, 2, 2), (1, 20, 20), (1, 2**11, 2**11), (1, 1, 2**22))
            entries = tuple(replace(entry, shape=shapes[rng.integers(len(shapes))]) for entry in entries)
        elif kind == 2:
            entries = (entries * 64)[: rng.integers(1, 65)]
        elif kind == 3:
            return replace(group, stored=not group.stored)
        elif kind == 4:
            return replace(group, crc=int(rng.integers(2**32)))
        else:
            at = int(rng.integers(len(payload) + 1))
            payload[at : at + int(rng.integers(0, 4))] = rng.bytes(int(rng.integers(0, 4)))
        return replace(group, entries=entries, payload=bytes(payload))

    def read(self, rng, file):
        """As of files of one image."""
        if container.unpack(file)[0].coding != container.ARCHIVE:
            (found,) = self.codec.decompress([file])
            some, part = [found.pixels], not found.exact
        else:
            held = archive.unpack(file, cut=rng.random() < 0.7)
            part = any(group.missing for group in held.groups)
            if rng.random() < 0.1:
                sound = list(are_sound(self.codec, held))
                assert not any(one for one, group in zip(sound, held.groups, strict=True) if group.missing)
            wanted = None if rng.random() < 0.4 else {int(row) for row in rng.integers(4, size=rng.integers(1, 3))}
            some = list(dict(archive.read(self.codec, held, wanted)).values())
        assert all((image.shape, image.tobytes()) in self.originals for image in some)
        return "part" if part else "exact", sum(image.size for image in some) * PER_NUMBER


VICTIMS = {
    "usual": lambda: Alone(toy(), images()),
    "tiny": lambda: Alone(tiny(), tiny_images()),
    "chain": lambda: Chained(tiny(with_chain=True)),
}


def fuzz(which, many, seed):
    """What became of so many files: each a declared error, the image of that checksum, or an estimate; in little time and memory."""
    victim, rng = VICTIMS[which](), np.random.default_rng(seed)
    told, slowest, asked = dict.fromkeys((*victim.outcomes, "error"), 0), 0.0, 0
    before = peak_memory()
    for trial in range(many):
        file = victim.hostile(rng)
        began = time.process_time()
        try:
            outcome, takes = victim.read(rng, file)
        except (DataError, Mismatch, UsageError):
            outcome, takes = "error", 0
        except Exception as error:
            error.add_note(f"file {trial}: {file.hex()}")
            raise
        told[outcome], asked = told[outcome] + 1, max(asked, takes)
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
