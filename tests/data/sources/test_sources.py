"""Every kind of source, its split, and what is wrong with it in one line."""

import gzip
import hashlib
import struct
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.data.imageset import to_bytes, to_levels, to_model
from ddpm.data.open import open_source
from ddpm.data.splits import Options, held_out
from ddpm.errors import DataError, NotFound, UsageError


def _picture(seed, size=(8, 8), mode="RGB"):
    channels = {"L": (), "RGB": (3,)}[mode]
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, (*size, *channels), dtype=np.uint8))


def _folder(path, count=40, **options):
    path.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        _picture(i, **options).save(path / f"{i:03d}.png")
    return path


def test_the_digits():
    train, test, every = (open_source("digits", split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(every)) == (1497, 300, 1797)
    assert train.shape == (1, 8, 8)
    assert train.levels == 17
    assert int(every.tensor().max()) == 16
    assert train.tensor().dtype == torch.uint8
    joined = torch.cat([train.tensor(), test.tensor()]).flatten(1)
    assert torch.equal(joined.sort(0).values, every.tensor().flatten(1).sort(0).values)
    assert sorted(test.labels.unique().tolist()) == list(range(10))
    assert test.labels[:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]  # the split is fixed for ever


def test_the_shipped_digits_are_those_of_scikit_learn():
    """To the bit, in the same order; and the split is the one that earlier checkpoints were trained on."""
    every = open_source("digits", "all")
    pixels, labels = every.tensor().reshape(-1, 64).numpy(), every.labels.numpy()
    found = hashlib.sha256(pixels.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    assert found == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    if find_spec("sklearn") is not None:
        from sklearn.datasets import load_digits

        theirs, classes = load_digits(return_X_y=True)
        assert (pixels == theirs).all()
        assert (labels == classes).all()
    digests = {part: open_source("digits", part).digest() for part in ("train", "test")}
    assert digests == {"train": "7061abb35c1b76809a6184bf2c50a281", "test": "9955c4d8d5f33ad57ff36dd90d2c7ca0"}


def test_independent_histograms_reach_2_44_bits():
    """The figure that a model of the digits must beat, on this split."""
    train, test = (open_source("digits", s).tensor().flatten(1).numpy() for s in ("train", "test"))
    counts = np.stack([np.bincount(column, minlength=17) + 0.5 for column in train.T])
    bits = -np.log2(counts / counts.sum(1, keepdims=True))
    assert np.mean(bits[np.arange(64), test]) == pytest.approx(2.4365, abs=1e-4)


@pytest.mark.parametrize("levels", [2, 17, 256, 65536])
def test_integers_survive_the_scaling(levels):
    """E1: the round trip is the identity on every level, the ends are exactly -1 and 1."""
    values = torch.arange(levels, dtype=torch.int32)
    x = to_model(values, levels)
    assert (x[0], x[-1]) == (-1, 1)
    assert torch.equal(to_levels(x, levels).int(), values)
    noisy = x + (torch.rand(levels) - 0.5) * 0.9 * 2 / (levels - 1)
    assert torch.equal(to_levels(noisy, levels).int(), values)


def test_pictures_of_few_levels_use_the_whole_range():
    assert to_bytes(torch.tensor([[-1.0, -0.01, 0.02, 1.0]]), 17).tolist() == [[0, 128, 128, 255]]
    assert to_bytes(torch.tensor([[-7.0, 7.0]])).tolist() == [[0, 255]]


def test_a_folder(tmp_path):
    _folder(tmp_path / "cats"), _folder(tmp_path / "dogs", 20)
    (tmp_path / ".hidden").mkdir()
    _picture(0).save(tmp_path / ".hidden" / "x.png")
    (tmp_path / "notes.txt").write_text("no image")
    every = open_source(str(tmp_path), "all")
    assert every.shape == (3, 8, 8)
    assert every.labels.tolist() == [0] * 40 + [1] * 20
    assert (every.tensor()[0].movedim(0, 2).numpy() == np.asarray(_picture(0))).all()
    train, test = open_source(str(tmp_path), "train"), open_source(str(tmp_path), "test")
    assert len(train) + len(test) == 60
    assert 0 < len(test) < 10
    assert not set(train.names) & set(test.names)


def test_the_held_out_images_stay_when_others_come():
    names = [f"{i:04d}.png" for i in range(400)]
    before = held_out(names, 0.05)
    after = held_out([f"new-{i}.png" for i in range(500)] + names, 0.05)[500:]
    assert torch.equal(before, after)
    assert 8 < int(before.sum()) < 36
    assert not held_out(names, 0.0).any()


def test_at_least_one_is_held_out():
    for count in range(2, 30):
        assert 1 <= int(held_out([f"{i}.png" for i in range(count)], 0.05).sum()) < count
    assert not held_out(["alone.png"], 0.05).any()


def test_a_folder_with_its_own_split(tmp_path):
    _folder(tmp_path / "train" / "a", 5), _folder(tmp_path / "train" / "b", 2), _folder(tmp_path / "test" / "b", 3)
    assert [len(open_source(str(tmp_path), split)) for split in ("train", "test", "all")] == [7, 3, 10]
    assert open_source(str(tmp_path), "train").labels.tolist() == [0] * 5 + [1] * 2
    assert open_source(str(tmp_path), "all").labels.unique().tolist() == [0, 1]


def test_grey_folders_stay_grey_and_mixed_ones_become_rgb(tmp_path):
    _folder(tmp_path / "grey", 3, mode="L")
    assert open_source(str(tmp_path / "grey"), "all").shape == (1, 8, 8)
    assert open_source(str(tmp_path / "grey"), "all", Options(channels=3)).shape == (3, 8, 8)
    _picture(1).save(tmp_path / "grey" / "colour.png")
    assert open_source(str(tmp_path / "grey"), "all").shape == (3, 8, 8)
    assert open_source(str(tmp_path / "grey"), "all", Options(channels=1)).shape == (1, 8, 8)


def test_sizes_must_agree_or_be_given(tmp_path):
    _folder(tmp_path, 5, size=(32, 32))
    _picture(0, (1, 1)).save(tmp_path / "tiny.png")
    with pytest.raises(DataError, match=r"000.png is 32x32, tiny.png is 1x1"):
        open_source(str(tmp_path), "all")
    assert open_source(str(tmp_path), "all", Options(resolution=(16, 12))).shape == (3, 16, 12)


def test_broken_images_are_an_error_or_left_out(tmp_path):
    _folder(tmp_path, 40)
    (tmp_path / "007.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"1 of 40 images .* cannot be read: 007.png"):
        open_source(str(tmp_path), "all")
    found = open_source(str(tmp_path), "all", Options(max_broken=0.03))
    assert len(found) == 39
    assert [bad.file for bad in found.broken] == ["007.png"]
    for file in tmp_path.iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(DataError, match="40 of 40"):
        open_source(str(tmp_path), "all", Options(max_broken=1.0))


def _idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, suffix):
    images = np.random.RandomState(0).randint(0, 256, (30, 5, 4))
    labels = np.arange(30) % 7
    for prefix, part in (("train", slice(0, 25)), ("t10k", slice(25, 30))):
        _idx(tmp_path / f"{prefix}-images-idx3-ubyte{suffix}", images[part])
        _idx(tmp_path / f"{prefix}-labels-idx1-ubyte{suffix}", labels[part])
    train, test, every = (open_source(str(tmp_path), split) for split in ("train", "test", "all"))
    assert (train.tensor()[:, 0].numpy() == images[:25]).all()
    assert (test.labels.numpy() == labels[25:]).all()
    assert len(every) == 30
    assert every.shape == (1, 5, 4)
    single = open_source(str(tmp_path / f"train-images-idx3-ubyte{suffix}"), "all")
    assert len(single) == 25
    assert (single.labels.numpy() == labels[:25]).all()


def test_sources_are_brought_to_a_size_and_to_channels(tmp_path):
    """For all kinds: a 10x20 grey array at 5x5 in colour; sixteen bits are not resized."""
    pixels = np.zeros((30, 10, 20), np.uint8)
    pixels[:, :, 10:] = 200
    np.save(tmp_path / "a.npy", pixels)
    found = open_source(str(tmp_path / "a.npy"), "all", Options(resolution=(5, 5), channels=3))
    assert found.shape == (3, 5, 5)
    row = found.tensor()[0, 0, 2].tolist()
    assert row[0] < 10
    assert row[-1] > 190
    colour = np.zeros((4, 6, 6, 3), np.uint8)
    colour[..., 1] = 255
    np.save(tmp_path / "b.npy", colour)
    assert open_source(str(tmp_path / "b.npy"), "all", Options(channels=1)).tensor().unique().tolist() == [150]
    np.save(tmp_path / "c.npy", pixels.astype(np.uint16))
    with pytest.raises(DataError, match="not resized"):
        open_source(str(tmp_path / "c.npy"), "all", Options(resolution=(5, 5)))


def test_levels_that_the_values_exceed_are_refused(tmp_path):
    _idx(tmp_path / "train-images-idx3-ubyte", np.full((10, 4, 4), 200))
    with pytest.raises(DataError, match="holds the value 200, but has 17 levels"):
        open_source(str(tmp_path / "train-images-idx3-ubyte"), "all", Options(levels=17))


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", b"\0\0\x08\x03" + b"\xff" * 12, b"\0\0\x08\x01\0\0\0\x05ab"],
)
def test_damaged_idx_files_are_refused(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError):
        open_source(str(path), "all")


def test_a_cut_off_gzip_is_refused(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    _idx(path, np.zeros((10, 8, 8)))
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match="cannot read"):
        open_source(str(path), "all")


def test_arrays(tmp_path):
    nhwc = np.random.RandomState(0).randint(0, 256, (30, 6, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", nhwc)
    np.savez(tmp_path / "b.npz", arr_0=np.moveaxis(nhwc, 3, 1), arr_1=np.arange(30))
    np.savez(
        tmp_path / "c.npz",
        x_train=nhwc[:20, :, :, 0],
        x_test=nhwc[20:, :, :, 0],
        y_train=np.ones(20, int),
        y_test=np.zeros(10, int),
    )
    np.savez(tmp_path / "d.npz", images=nhwc[..., :1] // 16, levels=16)
    np.save(tmp_path / "e.npy", nhwc.astype(np.uint16) * 257)
    a, b = open_source(str(tmp_path / "a.npy"), "all"), open_source(str(tmp_path / "b.npz"), "all")
    assert torch.equal(a.tensor(), b.tensor())
    assert (a.tensor()[3, 1].numpy() == nhwc[3, :, :, 1]).all()
    assert b.labels.tolist() == list(range(30))
    assert len(open_source(str(tmp_path / "a.npy"), "train")) + len(open_source(str(tmp_path / "a.npy"), "test")) == 30
    c = [open_source(str(tmp_path / "c.npz"), split) for split in ("train", "test", "all")]
    assert [len(part) for part in c] == [20, 10, 30]
    assert c[0].labels.tolist() == [1] * 20
    assert open_source(str(tmp_path / "d.npz"), "all").levels == 16
    e = open_source(str(tmp_path / "e.npy"), "all")
    assert e.levels == 65536
    assert int(e.tensor().max()) == 65535
    assert open_source(str(tmp_path / "a.npy"), "all", Options(levels=300)).levels == 256
    assert open_source(str(tmp_path / "e.npy"), "all", Options(levels=65536)).levels == 65536


def test_impossible_arrays_are_refused(tmp_path):
    good = np.zeros((4, 8, 8), np.uint8)
    cases = {
        "float.npy": (good.astype(np.float32), "float32"),
        "flat.npy": (good.reshape(4, 64), "shape"),
        "object.npy": (np.array([{}]), "cannot read"),
    }
    for name, (array, match) in cases.items():
        np.save(tmp_path / name, array, allow_pickle=True)
        with pytest.raises(DataError, match=match):
            open_source(str(tmp_path / name), "all")
    np.savez(tmp_path / "none.npz", other=good)
    with pytest.raises(DataError, match="other"):
        open_source(str(tmp_path / "none.npz"), "all")
    np.savez(tmp_path / "levels.npz", images=good + 20, levels=17)
    with pytest.raises(DataError, match="holds the value 20"):
        open_source(str(tmp_path / "levels.npz"), "all")
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(DataError, match="cannot read"):
        open_source(str(tmp_path / "bad.npz"), "all")


def test_cifar(tmp_path):
    random = np.random.RandomState(0)
    rows = random.randint(0, 256, (12, 3073), dtype=np.uint8)
    rows[:, 0] %= 10
    rows[:5].tofile(tmp_path / "data_batch_1.bin")
    rows[5:8].tofile(tmp_path / "data_batch_2.bin")
    rows[8:].tofile(tmp_path / "test_batch.bin")
    train, test = open_source(str(tmp_path), "train"), open_source(str(tmp_path), "test")
    assert (len(train), len(test), len(open_source(str(tmp_path), "all"))) == (8, 4, 12)
    assert (train.tensor().reshape(8, -1).numpy() == rows[:8, 1:]).all()
    assert (test.labels.numpy() == rows[8:, 0]).all()
    assert len(open_source(str(tmp_path / "data_batch_1.bin"), "all")) == 5
    (tmp_path / "data_batch_1.bin").write_bytes(b"x" * 3074)
    with pytest.raises(DataError, match="not whole"):
        open_source(str(tmp_path), "train")


def test_nothing_there(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, match in (("nowhere", "no such data"), ("empty", "no images"), ("text.txt", "no images")):
        (tmp_path / "text.txt").write_text("no image")
        with pytest.raises(NotFound, match=match):
            open_source(str(tmp_path / source), "train")
    _folder(tmp_path / "few", 3)
    with pytest.raises(NotFound, match="test split"):
        open_source(str(tmp_path / "few"), "test", Options(held_out=0.0))
    with pytest.raises(UsageError, match="unknown split"):
        open_source("digits", "dev")
    with pytest.raises(NotFound, match="no validation split"):
        open_source("digits", "validation")


def test_mnist(shared_data):
    train, test = (open_source(str(shared_data / "mnist"), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.shape == (1, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert float(train.tensor().float().mean()) == pytest.approx(33.3184, abs=1e-3)


def test_emoji(shared_data):
    emoji = open_source(str(shared_data / "emoji" / "noto_emoji_32.npz"), "all")
    assert len(emoji) == 3583
    assert emoji.shape == (3, 32, 32)
