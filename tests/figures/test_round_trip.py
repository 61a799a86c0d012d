"""What is written is read back as the same thing, or refused: every kind of source, by every kind of output, to the pixel.

The levels, the channels and the classes travel with the file. A picture that is decoded in a worker process is decoded here
without one: `look` and `pixels` are the same functions, and what they say goes through JSON as it does there.
"""

import io
import json
import struct
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.data.decoding import exact, worker
from ddpm.data.decoding.exact import BYTES, Meaning, meaning_of, png, values_of
from ddpm.data.decoding.workers import Answer
from ddpm.data.imageset import to_bytes, to_levels, to_model
from ddpm.data.indexing import index
from ddpm.data.open import open_source
from ddpm.data.splits import Options
from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.figures.images import Images, image_set, images_of, one_image
from ddpm.run.given_data import _arrays

LEVELS = (2, 17, 256, 1024, 65536)
CHANNELS = (1, 2, 3, 4)
NAMES = ("10", "9", "고양이")
CLASSES = {
    "none": (None, ()),
    "numbers": (torch.tensor([2, 0, -1, 10]), ()),
    "names": (torch.tensor([2, 0, 1, 2]), NAMES),
    "some unknown": (torch.tensor([2, 0, 1, -1]), NAMES),
}
HEIGHT, WIDTH = 5, 3


@pytest.fixture
def in_process(monkeypatch, tmp_path):
    """No worker process, and no cache of another test."""
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "cache"))

    def looked(sources, rows, reading):
        for row in rows:
            facts, body = worker.answer({**vars(sources[row].span), **vars(reading)})
            yield row, Answer(json.loads(json.dumps(facts)), body)

    monkeypatch.setattr(index, "_looked", looked)


def _values(levels, channels):
    """Four images that have the lowest and the highest level in every channel."""
    found = np.random.default_rng(levels + channels).integers(0, levels, (4, channels, HEIGHT, WIDTH))
    found[0], found[1] = 0, levels - 1
    return torch.from_numpy(found.astype(np.uint8 if levels <= BYTES else np.int32))


def _images(levels, channels, labels, classes):
    return Images(to_model(_values(levels, channels), levels), levels, labels, classes)


def _read(path, **options):
    return images_of(open_source(str(path), "all", Options(**options)))


def _pngs(images, folder):
    images.save(folder)
    return folder


def _tar(images, folder):
    with tarfile.open(folder.with_suffix(".tar"), "w") as file:
        for path in images.save(folder):
            file.add(path, path.name)
    return folder.with_suffix(".tar")


def _npz(images, folder):
    return images.save_npz(folder.with_suffix(".npz"))


def _data_of_a_run(images, folder):
    path = folder.with_suffix(".npz")
    np.savez_compressed(path, **_arrays(image_set(images, "all"), "NCHW"))
    return path


OUTPUTS = {"pngs": _pngs, "tar": _tar, "npz": _npz, "data of a run": _data_of_a_run}
"""All that is written of images and can be read as data."""


def _npz_of_others(images, folder):
    arrays = {"x": images.numpy(), "levels": images.levels}
    if images.labels is not None:
        arrays["y"] = images.labels.numpy()
    if images.classes:
        arrays["classes"] = np.array(images.classes)
    np.savez(folder.with_suffix(".npz"), **arrays)
    return _read(folder.with_suffix(".npz"))


def _array(images, folder):
    del folder
    if images.labels is not None:
        return None
    x = images.numpy()
    return images_of(image_set(x, "all", Options(layout="NHWC"), images.levels))


def _npy(images, folder):
    if images.labels is not None:
        return None
    np.save(folder.with_suffix(".npy"), images.numpy())
    return _read(folder.with_suffix(".npy"), levels=images.levels, layout="NHWC")


def _pictures_of_others(images, folder):
    """PNGs that say nothing: 8 bits spread over 0..255, or grey of 16 bits as they are; the folders name the classes."""
    deep, channels = images.levels > BYTES, images.tensor.shape[1]
    if channels not in ((1,) if deep else (1, 3)) or (images.labels is not None and not images.classes):
        return None
    if images.labels is not None and int(images.labels.min()) < 0:
        return None
    values = to_levels(images.tensor, images.levels)
    shown = values.numpy().astype(np.uint16) if deep else to_bytes(images.tensor, images.levels).numpy()
    for number, one in enumerate(shown):
        place = folder if images.labels is None else folder / images.classes[images.labels[number]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one[0] if channels == 1 else np.moveaxis(one, 0, 2).copy()).save(place / f"{number}.png")
    return _read(folder, levels=images.levels)


def _idx(images, folder):
    if images.levels > BYTES or images.tensor.shape[1] > 1 or images.classes:
        return None
    folder.mkdir()
    _write_idx(folder / "train-images-idx3-ubyte", images.numpy()[..., 0])
    if images.labels is not None:
        _write_idx(folder / "train-labels-idx1-ubyte", images.labels.clamp(min=0).numpy().astype(np.uint8))
        images = Images(images.tensor, images.levels, images.labels.clamp(min=0))
    return _read(folder, levels=images.levels)


def _write_idx(path, array):
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


SOURCES = {
    "Images": lambda images, _: images,
    "npz of others": _npz_of_others,
    "array": _array,
    "npy": _npy,
    "pictures of others": _pictures_of_others,
    "IDX": _idx,
}
"""All that images are read from; None where such a source cannot hold them. (Parquet and tar hold the files of "pngs".)"""


def _same(found, images):
    assert (found.levels, found.tensor.shape) == (images.levels, images.tensor.shape)
    assert np.array_equal(found.numpy(), images.numpy())
    assert (found.labels is None) == (images.labels is None)
    if images.labels is not None:
        assert _called(found) == _called(images)
        if set(images.labels.tolist()) >= set(range(len(images.classes))):
            assert found.labels.tolist() == images.labels.tolist()
            assert found.classes == images.classes


def _called(images):
    return [images.classes[label] if images.classes and label >= 0 else label for label in images.labels.tolist()]


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("levels", LEVELS)
def test_every_source_by_every_output(in_process, tmp_path, levels, channels):
    """Levels, channels, pixels, labels and names: the same, whichever way they went."""
    ways = 0
    for classes, told in CLASSES.items():
        first = _images(levels, channels, *told)
        for source, read in SOURCES.items():
            images = read(first, tmp_path / f"{classes} {source}")
            if images is None:
                continue
            if source not in ("pictures of others", "IDX"):  # which have their own order, and no unknown class
                _same(images, first)
            for output, written in OUTPUTS.items():
                _same(_read(written(images, tmp_path / f"{classes} {source} {output}")), images)
                ways += 1
    assert ways >= 40


@pytest.mark.parametrize("levels", [*range(2, 258), 1000, 1024, 4096, 65535, 65536])
def test_every_level_comes_back(levels):
    """Whatever their number; and the pictures of up to 256 are, to the bit, those that are shown elsewhere."""
    values = np.arange(levels)[None, None]
    file = png(values, Meaning(levels), {})
    if levels == BYTES:
        assert meaning_of(file) is None
    else:
        assert np.array_equal(values_of(file, Meaning(levels)), values)
    shown = np.asarray(Image.open(io.BytesIO(file)))
    if levels <= BYTES:
        assert np.array_equal(shown, to_bytes(to_model(torch.from_numpy(values), levels), levels)[0, 0].numpy()[None])
    else:
        assert (shown.min(), shown.max()) == (0, 65535)


@pytest.mark.parametrize("channels", [2, 3, 4, 7])
def test_sixteen_bits_of_several_channels_are_png_that_others_read(channels):
    """Pillow gives their upper 8 bits; more than 4 channels are grey pictures below each other."""
    values = np.random.default_rng(0).integers(0, 65536, (channels, 4, 6))
    file, meaning = png(values, Meaning(65536, channels), {"ddpm": "drawn"}), Meaning(65536, channels)
    assert np.array_equal(values_of(file, meaning), values)
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        assert image.info["ddpm"] == "drawn"
        seen = np.asarray(image).astype(int)
    if channels > 4:
        assert np.array_equal(seen.reshape(values.shape), values)
    else:
        upper = np.moveaxis(values, 0, 2) >> 8
        expected = upper[..., [0, 0, 0, 1]] if channels == 2 else upper
        assert np.array_equal(seen, expected)


def _changed(levels, channels, change):
    """A file of our own that another program has changed: with the text, and other pixels."""
    data = png(_values(levels, channels)[3].numpy(), Meaning(levels, channels), {})
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        changed, about = change(image), exact.PngInfo()
        about.add_text(exact.TEXT, image.info[exact.TEXT])
    file = io.BytesIO()
    changed.save(file, format="PNG", pnginfo=about)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: _changed(17, 1, lambda image: image.point(lambda v: v // 2)), "says that it has 17 levels"),
        (lambda: _changed(17, 1, lambda image: image.convert("RGB")), "mode RGB, not L"),
        (lambda: _changed(256, 4, lambda image: image.convert("RGB")), "mode RGB, not RGBA"),
        (lambda: _changed(1024, 3, lambda image: image), "no 3 channels of 16 bits"),
        (lambda: png(_values(1024, 3)[3].numpy(), Meaning(1024, 3), {})[:-40], "cut off|damaged"),
    ],
)
def test_a_file_that_no_longer_holds_what_it_says_is_a_broken_one(in_process, tmp_path, data, words):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.png").write_bytes(data())
    with pytest.raises(DataError, match=words):
        open_source(str(tmp_path / "d"), "all")
    with pytest.raises(DataError, match=words):
        one_image(tmp_path / "d" / "a.png", (3, HEIGHT, WIDTH), 256)


@pytest.mark.parametrize("text", ["", "{}", '{"levels": 1, "channels": 1}', '{"levels": 17, "channels": "1"}', "[1]"])
def test_a_damaged_word_is_refused(text):
    with pytest.raises(ValueError):
        exact.meaning_in(text)


def test_files_that_say_different_things_do_not_belong_together(in_process, tmp_path):
    """They were read as pictures of 256 levels, all of them."""
    _images(17, 1, None, ()).save(tmp_path)
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"000000\.png has 17 levels and 1 channel; photo\.png has the 256 levels"):
        open_source(str(tmp_path), "all")
    (tmp_path / "photo.png").unlink()
    _images(1024, 1, None, ())[3].save(tmp_path / "deep")
    with pytest.raises(DataError, match="do not belong together"):
        open_source(str(tmp_path), "all")


def test_classes_that_files_say_are_those_of_their_names(in_process, tmp_path):
    """Of a part of the classes the numbers may be others, and the names never; folders count for more."""
    images = _images(256, 3, torch.tensor([2, 0, 2, 2]), NAMES)
    images.save(tmp_path / "a")
    found = _read(tmp_path / "a")
    assert (found.classes, found.labels.tolist()) == (("10", "고양이"), [1, 0, 1, 1])
    images[:2].save(tmp_path / "b" / "these")
    images[2:].save(tmp_path / "b" / "those")
    assert _read(tmp_path / "b").classes == ("these", "those")
    Images(images.tensor[:1], 256, torch.tensor([1]), numbers=(9,)).save(tmp_path / "a")
    with pytest.raises(DataError, match="name of their class, and others only its number"):
        _read(tmp_path / "a")


def test_pictures_that_do_not_say_it_are_read_as_so_many_levels_where_they_can_be(in_process, tmp_path):
    """Spread over 0..255 or as such; a photograph of 256 values has no 17 levels, which whoever compares then sees."""
    values = _values(17, 1)[:, 0].numpy()
    for name, shown in {
        "spread": np.rint(values * np.float32(255 / 16)),
        "as such": values,
        "photo": values + 100,
    }.items():
        (tmp_path / name).mkdir()
        for number, one in enumerate(shown.astype(np.uint8)):
            Image.fromarray(one).save(tmp_path / name / f"{number}.png")
    for name in ("spread", "as such"):
        found = open_source(str(tmp_path / name), "all", Options(levels=17))
        assert found.levels == 17
        assert np.array_equal(found.tensor()[:, 0], values)
    assert open_source(str(tmp_path / "photo"), "all", Options(levels=17)).levels == 256
    assert open_source(str(tmp_path / "photo"), "all", Options(levels=1024)).levels == 256
    assert open_source(str(tmp_path / "spread"), "all").levels == 256


def test_one_image_is_taken_as_its_file_says(tmp_path):
    """1,024 levels were cut to 256, and four channels refused or laid on white."""
    for levels, channels in ((1024, 1), (1024, 3), (17, 4), (2, 2), (65536, 1)):
        images = _images(levels, channels, None, ())
        for row in range(4):
            (path,) = images[row].save(tmp_path / f"{levels} {channels} {row}")
            assert torch.equal(one_image(path, (channels, HEIGHT, WIDTH), levels), images[row].tensor)
    with pytest.raises(DataError, match="has 4 channels, the model 3"):
        one_image(tmp_path / "17 4 0" / "000000.png", (3, HEIGHT, WIDTH), 17)
    with pytest.raises(Mismatch, match="3x5 pixels, not 4x4"):
        one_image(tmp_path / "17 4 0" / "000000.png", (4, 4, 4), 17)


def test_pictures_in_memory_have_no_more_levels_than_bytes():
    with pytest.raises(DataError, match="at most 256 levels, not 1024"):
        image_set([Image.new("L", (4, 4))], "all", levels=1024)


def test_a_file_of_all_is_named_after_what_it_is(tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.npz"):
        _images(2, 1, None, ()).save_npz(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
