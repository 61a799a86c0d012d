"""Damaged, cut and hostile files: the exact image, a declared error, or an estimate that says so; soon, in little memory."""

import os
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from ddpm import load
from ddpm.codec import archive, container
from ddpm.codec.archive import Entry, Group
from ddpm.codec.channel import chunks_of
from ddpm.codec.coder import OF_A_BYTE
from ddpm.codec.container import Header
from ddpm.codec.profile import bins_of_average
from ddpm.codec.progressive import _Step
from ddpm.errors import DataError, Mismatch
from ddpm.trained.coding import codec_of
from tests.codec.fuzz import PER_NUMBER, fuzz, hostile, images
from tests.codec.source import toy

ROOT = Path(__file__).parents[2]
LONG = [pytest.mark.long, pytest.mark.timeout(20000)]


@pytest.fixture(scope="module")
def files():
    return toy().compress(images())


@pytest.mark.parametrize("which", [0, 1, 2])
def test_no_flipped_bit_gives_a_wrong_image(files, which):
    file, image, told = files[which], images()[which], {"exact": 0, "error": 0, "estimate": 0}
    for place in range(8 * len(file)):
        damaged = bytearray(file)
        damaged[place // 8] ^= 1 << place % 8
        try:
            (found,) = toy().decompress([bytes(damaged)])
        except (DataError, Mismatch):
            told["error"] += 1
            continue
        if found.exact:
            assert found.pixels.shape == image.shape
            assert np.array_equal(found.pixels, image)
        else:
            header, payload = container.unpack(bytes(damaged))
            assert len(payload) < header.length or (header.length == 0 and len(payload) < np.prod(header.shape))
        told["exact" if found.exact else "estimate"] += 1
    assert told["error"] > 7 * len(file)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_file_that_is_cut_is_an_estimate_or_an_error(files, which):
    file, image = files[which], images()[which]
    for end in range(len(file)):
        try:
            (found,) = toy().decompress([file[:end]])
        except DataError:
            assert end < 16
            continue
        assert found.pixels.shape == image.shape
        assert np.isfinite(found.pixels).all()
        assert not found.exact or np.array_equal(found.pixels, image)
        assert np.array_equal(toy().decompress([file], limit=end)[0].pixels, found.pixels)
    with pytest.raises(DataError, match="follow"):
        toy().decompress([file + b"\0"])


def test_a_shape_is_no_other_of_as_many_pixels(files):
    """Turned, the pixels would be the same bytes."""
    image = images()[2].reshape(1, 2, 8)
    (file,) = toy().compress([image])
    turned = file.replace(b"\1\2\x08", b"\1\x08\2", 1)
    assert turned != file
    with pytest.raises(DataError, match="not those that were written"):
        toy().decompress([turned])


@pytest.mark.parametrize("sides", [(1, 2**14, 2**13), (1, 0, 4), (2**21, 2**6, 1), (1, 1, 2**22), (1, 2000, 2000)])
def test_an_image_that_is_too_large_is_refused_at_once(sides):
    """Before anything is allocated, and before the network is asked."""
    tracemalloc.start()
    file = Header(container.PROGRESSIVE, toy().name, 0, 3000, sides).pack() + bytes(3000)
    with pytest.raises((DataError, Mismatch)):
        toy().decompress([file])
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("follow", [0, 1, 1000])
def test_of_a_header_alone_the_largest_image_is_the_average(files, follow):
    """A few bytes may claim it: it is made without the network, shuffled pixels or candidates."""
    file = Header(container.PROGRESSIVE, toy().name, 0, 2**14, (1, 2**11, 2**11)).pack() + bytes(follow)
    tracemalloc.start()
    began = time.process_time()
    (found,) = toy().decompress([file])
    assert time.process_time() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 20 * found.pixels.size
    tracemalloc.stop()
    assert (found.exact, found.stage, found.seen) == (False, "nothing", None)
    assert np.array_equal(found.pixels[:, :4, :4].ravel(), toy().profile.average)
    (small,) = toy().decompress([files[0]], limit=len(files[0]) - len(container.unpack(files[0])[1]))
    assert np.array_equal(small.pixels, found.pixels[:, :7, :8])


def test_so_few_bytes_never_say_anything_of_an_image_by_the_shipped_model():
    """Its first step through noise takes more of each tile: what is shown of an honest file is as it would be."""
    profile = codec_of(load("ddpm:mnist").loaded).profile
    choices = np.array(profile.places)
    least = (np.arange(len(choices)) + np.log2(choices.sum() / choices)).min()
    expected = _Step(*profile.noisy[:2]).expected(profile)[bins_of_average(profile)]
    chunks = len(chunks_of(np.tile(expected, 100), profile.chunk, 0, 1))
    assert 2500 < 8 * 100 * profile.size / (chunks * least) < OF_A_BYTE


def test_a_bomb_is_not_unpacked():
    """A hundred megabytes in a stored file of a hundred kilobytes."""
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(10**8)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(DataError, match="more or fewer"):
        toy().decompress([Header(container.STORED, toy().name, 0, len(bomb)).pack() + bomb])
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_hostile_headers_and_tables_are_refused_or_read(files):
    """100,000 files, as far as what is read before the network is asked: the header, a table of contents, stored pixels."""
    rng, told, slowest = np.random.default_rng(5), {"read": 0, "error": 0}, 0.0
    table = archive.Archive(
        toy().name[:4], (Group((Entry("one", None),) * 3, stored=True, crc=7, payload=bytes(90)),)
    ).pack()
    for _ in range(100_000):
        file = hostile(rng, [*files, table], toy().name)
        began = time.process_time()
        try:
            header, payload = container.unpack(file)
            if header.coding == container.ARCHIVE:
                archive.unpack(file)
            elif header.coding == container.STORED:
                container.unstore(payload, header.length, int(np.prod(header.shape or (1, 4, 4))), 256)
            told["read"] += 1
        except DataError:
            told["error"] += 1
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 10
    assert min(told.values()) > 10_000


SEED = os.environ.get("DDPM_FUZZ_SEED", "0")


@pytest.mark.parametrize(("which", "many"), [("usual", 1000), ("chain", 400)])
def test_hostile_files_are_refused_or_read(which, many, record_property):
    """With the checks of types."""
    record_property("figures", fuzz(which, many, int(SEED)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "many"),
    [
        ("tiny", 100_000),
        ("chain", 4_000),
        pytest.param("usual", 100_000, marks=LONG),
        pytest.param("tiny", 1_000_000, marks=LONG),
        pytest.param("chain", 100_000, marks=LONG),
    ],
)
def test_very_many_hostile_files_are_refused_or_read(which, many, record_property):
    """In a process of its own, whose memory is its own too.

    `tiny` and `usual` are files of one image, progressive and stored; `chain` files that a chain coded, and archives with repaired
    tables: groups that are cut, swapped or of another length, other shapes and numbers of images; read with `cut` or without, and
    of some images alone.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    run = [sys.executable, "-W", "error::RuntimeWarning", "-m", "tests.codec.fuzz", which, str(many), SEED]
    done = subprocess.run(run, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record_property("figures", done.stdout)


@pytest.mark.slow
def test_memory_is_that_of_the_image():
    """The largest image that a file of 1,000 bytes may claim."""
    size, tracing = 1000 * container.PER_BYTE, tracemalloc
    file = Header(container.PROGRESSIVE, toy().name, 0, 1000, (1, 500, size // 500)).pack() + bytes(1000)
    tracing.start()
    with pytest.raises(DataError):
        toy().decompress([file])
    assert tracing.get_traced_memory()[1] < 2**26 + PER_NUMBER * size
    tracing.stop()
