"""Real files beside the account of the bound: what is cut, what is compared, and that the network is asked once."""

import io
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import ddpm
from ddpm.codec import container
from ddpm.errors import UsageError
from ddpm.figures.images import image_set
from ddpm.trained.coded import codec_to_write
from ddpm.trained.cutting import rmse_of
from ddpm.trained.measures import other_formats
from ddpm.trained.measures.other_formats import FORMATS, known, lossless_sizes, lossy_points, picture_of
from ddpm.trained.measures.real_bytes import OURS, Traced, lengths, moments, together, traced, until, whole_images


@pytest.fixture(name="model", scope="module")
def _model(trained, tmp_path_factory):
    """The tiny run, a copy that may keep a codec's profile."""
    return ddpm.load(shutil.copytree(trained, tmp_path_factory.mktemp("coder") / "run"))


@pytest.fixture(name="digits", scope="module")
def _digits():
    return ddpm.images("digits")[:5]


@pytest.fixture(name="found", scope="module")
def _found(model, digits):
    return ddpm.real_bytes(model, digits, batch_size=2, progress=False)


@pytest.mark.parametrize("longest", [16, 17, 63, 64, 250, 640, 641, 9000])
def test_where_files_are_cut(longest):
    """At every 16 bytes up to 640, some 20 times in each ten-fold beyond, and at the end."""
    found = lengths(longest)
    assert found == sorted(set(found))
    assert found[-1] == longest
    assert set(range(16, min(longest, 640) + 1, 16)) <= set(found)
    beyond = [a for a in found if a > 640]
    assert all(b / a <= 1.2 for a, b in pairwise(beyond))
    assert len(beyond) <= 20


def test_the_curve_ends_at_the_image(model, digits, found):
    """Every image is whole at the last point; sizes are those of the files that `compress` gives."""
    files = model.compress(digits, progress=False)
    assert found.images == 5
    assert list(found.per_image) == [len(file) for file in files]
    assert found.lossless[OURS] == np.mean([len(file) for file in files])
    assert found.bits_per_dim == pytest.approx(8 * found.lossless[OURS] / 64)
    last = found.curves[OURS][-1]
    assert last.rmse == 0
    assert last.bytes >= found.lossless[OURS]


def test_a_point_is_what_the_files_show(model, digits, found):
    """By the codec itself, without anything remembered: of each image's file that can be cut, so many bytes."""
    codec = codec_to_write(model.loaded)
    images = [one.astype(np.int64)[None] for one in np.moveaxis(digits.numpy(), -1, 1)[:, 0]]
    files = codec.progressive(images)
    for point in found.curves[OURS][1:6]:
        parts = [file[: point.setting] for file in files]
        assert point.bytes == np.mean([len(part) for part in parts])
        assert point.rmse == pytest.approx(np.sqrt(np.mean(np.square(rmse_of(codec, images, parts)))))


def test_batches_change_nothing(model, digits, found):
    other = ddpm.real_bytes(model, digits, batch_size=64, progress=False)
    assert other.as_json() == found.as_json()


def test_the_network_is_asked_once(model, digits):
    """However often a file is cut: as many calls as coding one batch takes."""
    codec, calls = codec_to_write(model.loaded), []
    images = whole_images(image_set(digits, "all"))

    def counted():
        def network(*asked):
            calls.append(asked)
            return codec.denoiser.network(*asked)

        calls.clear()
        return replace(codec, denoiser=replace(codec.denoiser, network=network))

    counted().compress(images)
    alone = len(calls)
    list(traced(counted(), images, {}, 64))
    assert len(calls) == alone > 0


def test_images_whose_file_has_ended_stay_as_they_are():
    """By hand: two images, of which one is whole after 20 bytes."""
    long = Traced(24, [(16, 9.0), (20, 4.0), (24, 0.0)], {"PNG": 70}, {})
    short = Traced(18, [(16, 1.0), (18, 0.0)], {"PNG": 50}, {})
    found = together([long, short], 16, {})
    points = [(point.setting, point.bytes, point.rmse) for point in found.curves[OURS]]
    assert points == [(16, 16, pytest.approx(5**0.5)), (20, 19, pytest.approx(2**0.5)), (24, 21, 0)]
    assert found.lossless == {OURS: 21, "PNG": 60}
    assert found.rate(21) == 10.5


@pytest.mark.parametrize(
    ("curve", "rmse", "expected"),
    [
        ([(10, 8.0), (20, 4.0), (30, 0.0)], 6, 15),
        ([(10, 8.0), (20, 4.0), (30, 0.0)], 4, 20),
        ([(10, 8.0), (20, 4.0), (30, 0.0)], 9, 10),
        ([(10, 8.0), (20, 4.0)], 3, None),
        ([(20, 4.0), (10, 8.0), (15, 9.0)], 6, 15),  # neither in order nor ever less
        ([], 3, None),
    ],
)
def test_bytes_at_an_error(curve, rmse, expected):
    assert until(curve, rmse) == expected


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_other_formats(name, channels):
    """Bytes are those of a file that Pillow reads; more quality loses less, and lossless nothing."""
    if name not in known():
        pytest.skip(f"this Pillow has no {name}")
    random = np.random.default_rng(0)
    image = (np.add.outer(np.arange(16), np.arange(16)) * 8 + random.integers(0, 9, (channels, 16, 16))).astype(
        np.int64
    )
    one, picture = FORMATS[name], picture_of(image, 256)
    points = lossy_points(image, 256, one)
    (size, loss), *_, (most, least) = points
    assert (size < most) and (loss > least)
    file = one.file(picture, {**one.lossy, "quality": one.qualities[0]})
    back = np.asarray(Image.open(io.BytesIO(file)).convert(picture.mode), dtype=float)
    assert points[0] == (len(file), pytest.approx(np.square(back - np.asarray(picture, dtype=float)).mean()))
    if one.lossless is not None:
        data = one.file(picture, one.lossless)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert(picture.mode)), np.asarray(picture))
        assert lossless_sizes(image, 256, {name: one})[name] == len(data)


def test_levels_are_shown_as_bytes_and_many_have_no_picture():
    assert np.asarray(picture_of(np.array([[[0, 8, 16]]]), 17)).tolist() == [[0, 128, 255]]
    assert picture_of(np.zeros((1, 2, 2), dtype=np.int64), 65536) is None
    assert picture_of(np.zeros((2, 2, 2), dtype=np.int64), 256) is None
    assert list(lossless_sizes(np.zeros((1, 2, 2), dtype=np.int64), 65536, known())) == ["PNG"]


def test_without_a_format_nothing_is_said_of_it(monkeypatch):
    monkeypatch.setattr(other_formats.features, "check", lambda name: name != "webp")
    assert "WebP" not in known()
    assert "JPEG" in known()


def test_a_filmstrip_shows_parts_of_each_file(model, digits):
    """The header and a byte at least; the last picture is the image."""
    codec, images = codec_to_write(model.loaded), whole_images(image_set(digits, "all"))[:2]
    for image, strip in zip(images, moments(codec, images), strict=True):
        (file,) = codec.progressive([image])
        head = len(file) - len(container.unpack(file)[1])
        assert strip[0].bytes == head + 1
        assert [one.bytes for one in strip][-1] == len(file)
        assert sorted(one.bytes for one in strip) == [one.bytes for one in strip]
        assert np.array_equal(strip[-1].picture, np.rint(image * (255 / 16)))
    figure = ddpm.filmstrip(model, digits)
    assert len(figure.axes) == 4 * 5
    assert figure.axes[5].get_xlabel() == f"{moments(codec, images)[1][0].bytes} bytes"


def test_the_figure_has_every_curve(model, digits, found):
    bound = model.bits_per_dim(digits, progress=False)
    left, right = found.figure(bound).axes
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels == ["theory: the bound", *found.curves, "PNG"]
    drawn = {line.get_label(): line.get_xdata() for line in left.get_lines()}
    assert drawn["ddpm"][-1] == pytest.approx(8 * found.curves[OURS][-1].bytes / 64)
    assert drawn["theory: the bound"][-1] == pytest.approx(bound.rate_distortion()[-1][1])
    assert len(found.figure().axes[0].get_lines()) == len(left.get_lines()) - 1


@pytest.mark.parametrize("parts", [(), (0.0, 1.0), (1.5,)])
def test_parts_that_are_none(model, digits, parts):
    with pytest.raises(UsageError, match="parts of a file"):
        ddpm.filmstrip(model, digits, parts=parts)


def test_no_images(model, digits):
    for ask in (ddpm.real_bytes, ddpm.filmstrip):
        with pytest.raises(UsageError, match="no images to code"):
            ask(model, digits[:0])


def test_without_the_coder_it_is_said_how_to_get_it(model, digits, monkeypatch):
    monkeypatch.setattr("ddpm.trained.coded.find_spec", lambda name: None)
    with pytest.raises(UsageError) as raised:
        ddpm.real_bytes(model, digits)
    assert raised.value.hints == ("pip install 'ddpm[codec]'",)
