"""`ddpm inpaint`, `ddpm edit` and both ways of `ddpm interpolate`: what is kept, what is obeyed, and what is refused."""

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import ddpm as ddpm_package
from ddpm.cli import main
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.errors import RunWarning
from ddpm.sampling.few_steps import FewSteps
from ddpm.trained.edit import METHODS
from ddpm.trained.interpolate import ENCODINGS
from tests.cli.test_commands import _pixels
from tests.cli.test_errors import _one_line
from tests.harness.commands import TINY
from tests.harness.oracles import rough_network


def _save(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


@pytest.fixture
def image(tmp_path):
    """On the 17 levels of the digits: what is kept is kept to the bit."""
    levels = np.random.default_rng(0).integers(0, 17, (8, 8))
    return _save(tmp_path / "image.png", np.round(levels * 255 / 16))


@pytest.fixture
def mask(tmp_path):
    """The lower half and one pixel above it."""
    pixels = np.zeros((8, 8))
    pixels[4:] = 255
    pixels[1, 2], pixels[1, 3] = 128, 127
    return _save(tmp_path / "mask.png", pixels)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """A run on images of three channels."""
    folder = tmp_path_factory.mktemp("coloured")
    np.save(folder / "a.npy", np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    assert main(["train", "--output-dir", str(folder / "run"), *TINY, "--data", str(folder / "a.npy")]) == 0
    return folder / "run"


@pytest.mark.parametrize("method", METHODS)
def test_inpaint(ddpm, trained, tmp_path, image, mask, method):
    flags = ("--num", 3, "--output-dir", tmp_path / "out", "--grid", tmp_path / "g.png", "--json", "-", "--jump", 4)
    said = ddpm("inpaint", trained, image, mask, "--method", method, *flags)
    assert said.code == 0, said.err
    found, given = [_pixels(tmp_path / "out" / f"{i:06d}.png") for i in range(3)], _pixels(image)
    hole = _pixels(mask) >= 128
    assert (hole[1, 2], hole[1, 3]) == (True, False)
    for pixels in found:
        assert (pixels[~hole] == given[~hole]).all()
    assert (found[0][hole] != found[1][hole]).any()
    assert any(pixels[1, 2] != given[1, 2] for pixels in found)
    written = json.loads(said.out)
    ways_up = 2 * 9 if method == "repaint" else 0  # T = 12, from t = 1 and 5
    assert written["evaluations"] == 12 + 4 * ways_up
    assert (written["images"], written["method"], written["sampler"]) == (3, method, "ancestral")
    assert (written["image"], written["mask"], written["steps"]) == (str(image), str(mask), 12)
    assert written.get("resamplings", 1) == (10 if method == "repaint" else 1)
    assert _pixels(tmp_path / "g.png").shape == (48, 5 * 52 - 4)


def test_an_image_depends_on_its_seed_alone(ddpm, trained, tmp_path, image, mask):
    base = ("inpaint", trained, image, mask, "--num", 3, "--steps", 5, "--resamplings", 2)
    for name, flags in (("a", ["--batch-size", 1]), ("b", ["--batch-size", 2]), ("c", ["--seed", 1])):
        assert ddpm(*base, "--output-dir", tmp_path / name, *flags).code == 0
    for i in range(3):
        a, b, c = (tmp_path / name / f"{i:06d}.png" for name in "abc")
        assert a.read_bytes() == b.read_bytes()
        assert (_pixels(a) != _pixels(c)).any()


def test_other_ways_to_fill(ddpm, trained, tmp_path, image, mask):
    """Any sampler, any method; a full mask is allowed, and said; a mask of any kind is read."""
    Image.open(mask).convert("RGBA").save(tmp_path / "rgba.png")
    _save(tmp_path / "white.png", np.full((8, 8), 255))
    for i, flags in enumerate(
        [
            [tmp_path / "rgba.png", "--sampler", "dpm-solver", "--steps", 6, "--resamplings", 2],
            [tmp_path / "rgba.png", "--sampler", "ddim", "--eta", 0.5, "--method", "ddnm", "--resamplings", 2],
            [tmp_path / "white.png", "--method", "replace", "--spacing", "trailing", "--steps", 3],
        ]
    ):
        said = ddpm("inpaint", trained, image, *flags, "--output-dir", tmp_path / str(i), "--num", 1)
        assert said.code == 0, said.err
        assert ("white everywhere" in said.err) == (i == 2)


def test_edit_by_noise(ddpm, trained, tmp_path, image):
    """From x_1 the image comes back nearly as it is, from x_12 it does not; shortened chains keep t."""
    away = {}
    for t, flags in ((1, []), (6, ["--steps", 3]), (12, ["--steps", 4, "--sampler", "ddim"])):
        out = tmp_path / str(t)
        said = ddpm("edit", trained, image, "--timestep", t, "--num", 2, "--output-dir", out, "--json", "-", *flags)
        assert said.code == 0, said.err
        written = json.loads(said.out)
        assert (written["timestep"], written["evaluations"]) == (t, flags[1] if flags else t)
        away[t] = np.abs(_pixels(out / "000000.png") - _pixels(image).astype(float)).mean()
    assert away[1] < 0.5 * away[12]


def test_super_resolution_obeys_the_picture(ddpm, coloured, tmp_path):
    """Means of 2x2 pixels are the picture's, to what rounding to 8 bits and the limits of 0..255 leave."""
    small = np.random.default_rng(2).integers(100, 156, (4, 4, 3))
    picture, out = _save(tmp_path / "small.png", small), tmp_path / "out"
    flags = ("--num", 2, "--output-dir", out, "--grid", tmp_path / "g.png")
    assert ddpm("edit", coloured, picture, "--super-resolve", 2, *flags).code == 0
    inside = 0
    for i in range(2):
        pixels = _pixels(out / f"{i:06d}.png").astype(float)
        squares = pixels.reshape(4, 2, 4, 2, 3).swapaxes(1, 2).reshape(4, 4, 4, 3)
        whole = ((squares > 0) & (squares < 255)).all(2)
        inside += whole.sum()
        assert np.abs(squares.mean(2) - small)[whole].max() <= 0.5
    assert inside > 5


def test_colouring_obeys_the_grey_values(ddpm, coloured, trained, tmp_path):
    grey = np.random.default_rng(3).integers(100, 156, (8, 8))
    picture = _save(tmp_path / "grey.png", grey)
    said = ddpm("edit", coloured, picture, "--colour", "--num", 1, "--output-dir", tmp_path / "out", "--json", "-")
    assert said.code == 0, said.err
    assert json.loads(said.out)["colour"] is True
    pixels = _pixels(tmp_path / "out" / "000000.png").astype(float)
    whole = ((pixels > 0) & (pixels < 255)).all(2)
    assert whole.any()
    assert np.abs(pixels @ [0.299, 0.587, 0.114] - grey)[whole].max() <= 0.5
    said = ddpm("edit", trained, picture, "--colour", "--output-dir", tmp_path / "o")
    _one_line(said, 78, "needs a model of 3 channels, not of 1")


def test_what_has_no_grey_values_is_not_coloured(ddpm, coloured, trained, tmp_path):
    """It said "the image has 2 channels, the model 1", of a model with 1, 2 or 3."""
    images = ddpm_package.Images(torch.zeros(1, 2, 8, 8))
    (picture,) = images.save(tmp_path / "two")
    for run, words in (
        (trained, "needs a model of 3 channels"),
        (coloured, "has 2 channels, its grey values are needed"),
    ):
        said = ddpm("edit", run, picture, "--colour", "--output-dir", tmp_path / "o")
        _one_line(said, 78 if run == trained else 65, words)
    with pytest.raises(ddpm_package.Mismatch, match="needs a model of 3 channels"):
        ddpm_package.load(trained, device="cpu").colour(picture, 1)


def test_a_shortened_chain_ends_where_the_whole_one_would():
    """K of the steps 1..t with t, at its own alpha_bar; x_T is still there, so nobody is warned of signal that remains."""
    p = ReverseProcess(rough_network, linear())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short, place = FewSteps(10).of(p, t=400), FewSteps(10).place(400)
    assert place == 10
    assert float(short.schedule.alpha_bar[place]) == pytest.approx(float(p.schedule.alpha_bar[400]), rel=1e-12)
    assert int(short.timestep(place, torch.zeros(1, 1))) == int(p.timestep(400, torch.zeros(1, 1)))
    assert FewSteps(7, "trailing").of(p, t=1000).schedule.T == 7


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("flags", [[], ["--steps", "5"]])
def test_interpolate(ddpm, trained, tmp_path, encoding, image, flags):
    other = _save(tmp_path / "other.png", _pixels(image).T)
    base = ("interpolate", trained, image, other, "--timestep", 8, "--num", 3, "--encoding", encoding)
    assert ddpm(*base, "--output-dir", tmp_path / "out", *flags).code == 0
    assert ddpm(*base, "--output-dir", tmp_path / "again", *flags, "--seed", 1).code == 0
    row = (tmp_path / "out" / "row.png").read_bytes()
    assert (row == (tmp_path / "again" / "row.png").read_bytes()) == (encoding == "deterministic")


def test_where_there_is_nothing_to_do(ddpm, trained, tmp_path, image, mask):
    black = _save(tmp_path / "black.png", np.zeros((8, 8)))
    out = ("--output-dir", tmp_path / "o")
    _one_line(ddpm("inpaint", trained, image, black, *out), 2, "nothing to fill", "white")
    for flags, words in (
        (["--method", "repant"], ["'repant'", "did you mean 'repaint'"]),
        (["--method", "replace", "--resamplings", "3"], ["--method repaint"]),
        (["--resamplings", "0"], ["--resamplings"]),
        (["--jump", "0"], ["--jump"]),
        (["--sampler", "dimd"], ["'ddim'"]),
        (["--steps", "13"], ["13"]),
        (["--eta", "1"], ["eta"]),
        (["--grid", "x.jpg"], ["x.jpg"]),
    ):
        _one_line(ddpm("inpaint", trained, image, mask, *flags, *out), 2, *words)
    for flags, words in (
        ([], ["--timestep", "--super-resolve", "--colour"]),
        (["--timestep", "3", "--colour"], ["not allowed with"]),
        (["--timestep", "13"], ["1..12", "13"]),
        (["--timestep", "0"], ["1..12", "0"]),
        (["--timestep", "3", "--steps", "4"], ["t = 3", "4"]),
        (["--timestep", "3", "--steps", "2", "--spacing", "odd"], ["'odd'"]),
        (["--super-resolve", "3"], ["divide 8 and 8"]),
        (["--super-resolve", "1"], ["at least 2"]),
    ):
        _one_line(ddpm("edit", trained, image, *flags, *out), 2, *words)
    base = ("interpolate", trained, image, image, "--timestep", "4", *out)
    _one_line(ddpm(*base, "--encoding", "ddim"), 2, "'ddim'", "deterministic")
    _one_line(ddpm(*base, "--steps", "5"), 2, "t = 4", "5")
    assert not (tmp_path / "o").exists()


def test_pictures_that_cannot_be_used(ddpm, trained, tmp_path, image, mask):
    (tmp_path / "broken.png").write_bytes(b"no")
    out = ("--output-dir", tmp_path / "o")
    _one_line(ddpm("edit", trained, image, "--super-resolve", "2", *out), 78, "8x8", "the small one")
    _one_line(ddpm("edit", trained, image, "--super-resolve", "2", "--paste", *out), 2, "--paste", "--super-resolve")
    _one_line(ddpm("inpaint", trained, tmp_path / "gone.png", mask, *out), 66, "gone.png")
    _one_line(ddpm("inpaint", trained, image, tmp_path / "gone.png", *out), 66, "gone.png")
    _one_line(ddpm("inpaint", trained, image, tmp_path / "broken.png", *out), 65, "broken.png")
    assert not (tmp_path / "o").exists()
    (tmp_path / "000000.png").write_bytes(b"")
    _one_line(ddpm("inpaint", trained, image, mask, "--output-dir", tmp_path), 73, "already")


QUICK = ("--method", "replace", "--steps", 2, "--num", 1, "--seed", 3)


@pytest.fixture
def photo(tmp_path):
    """Of 36 x 20 pixels, in colours: the model sees the middle 20 x 20, in grey, as 8 x 8."""
    return _save(tmp_path / "photo.png", np.random.default_rng(4).integers(0, 256, (20, 36, 3)))


@pytest.fixture
def hole():
    """In the whole photograph: 5 x 5 pixels, which are 2 x 2 of the model's."""
    found = np.zeros((20, 36), bool)
    found[5:10, 13:18] = True
    return found


def test_any_photograph_is_filled_and_pasted_back(ddpm, trained, tmp_path, photo, hole):
    """Outside the hole no pixel of the photograph changes; inside are those that were drawn. The call does the same."""
    _save(tmp_path / "hole.png", 255 * hole)
    out = tmp_path / "out"
    said = ddpm("inpaint", trained, photo, tmp_path / "hole.png", *QUICK, "--output-dir", out, "--paste", "--json", "-")
    assert said.code == 0, said.err
    assert "36x20 pixels, not 8x8 (width x height): scaled and cut to its middle" in said.err
    assert json.loads(said.out)["pasted"] == str(out / "pasted")
    whole, drawn = _pixels(out / "pasted" / "000000.png"), Image.open(out / "000000.png")
    grey = np.asarray(Image.open(photo).convert("L"))
    assert (whole[~hole] == grey[~hole]).all()
    enlarged = np.asarray(drawn.resize((20, 20), Image.Resampling.LANCZOS))
    assert (whole[hole] == enlarged[hole[:, 8:28].nonzero()]).all()
    assert (whole[hole] != grey[hole]).any()
    model = ddpm_package.load(trained, device="cpu")
    with pytest.warns(RunWarning, match="36x20 pixels, not 8x8"):
        found = model.inpaint(Image.open(photo), hole, 1, method="replace", steps=2, seed=3, progress=False)
    (pasted,) = found.paste(Image.open(photo), hole, tmp_path / "call")
    assert (np.asarray(pasted) == whole).all()
    assert (tmp_path / "call" / "000000.png").read_bytes() == (out / "pasted" / "000000.png").read_bytes()


def test_a_photograph_of_the_models_size_is_pasted_as_it_was_drawn(ddpm, coloured, tmp_path):
    image = _save(tmp_path / "a.png", np.random.default_rng(4).integers(0, 256, (8, 8, 3)))
    flags = ("--timestep", 6, "--steps", 2, "--num", 1, "--paste", "--output-dir", tmp_path / "out")
    said = ddpm("edit", coloured, image, *flags)
    assert said.code == 0, said.err
    assert "scaled" not in said.err
    assert (_pixels(tmp_path / "out" / "pasted" / "000000.png") == _pixels(tmp_path / "out" / "000000.png")).all()


def test_colours_are_pasted_without_the_brightness(ddpm, coloured, tmp_path, photo):
    flags = ("--colour", "--num", 1, "--steps", 2, "--paste", "--output-dir", tmp_path / "out")
    said = ddpm("edit", coloured, photo, *flags)
    assert said.code == 0, said.err
    found = Image.open(tmp_path / "out" / "pasted" / "000000.png")
    assert (found.size, found.mode) == ((36, 20), "RGB")
    pixels, grey = np.asarray(found).astype(int), np.asarray(Image.open(photo).convert("L")).astype(int)
    assert np.abs(np.asarray(found.convert("L")).astype(int) - grey).max() <= 1
    assert (np.ptp(pixels[:, :8], axis=2) == 0).all()
    assert (np.ptp(pixels[:, 8:28], axis=2) > 0).any()


def test_small_pictures_of_other_sizes_are_enlarged(ddpm, coloured, tmp_path):
    picture = _save(tmp_path / "small.png", np.zeros((4, 5, 3)))
    said = ddpm(
        "edit", coloured, picture, "--super-resolve", 2, "--num", 1, "--steps", 2, "--output-dir", tmp_path / "o"
    )
    assert said.code == 0, said.err
    assert "5x4 pixels, not 4x4" in said.err


def test_any_photographs_are_scored_as_the_run_reads_its_own(ddpm, trained, coloured, tmp_path, photo):
    """One file, or a folder of several sizes; what the run itself would have made of them is what is scored."""
    model = ddpm_package.load(coloured, device="cpu")
    folder = tmp_path / "photos"
    folder.mkdir()
    for size in ((36, 20), (20, 36)):
        Image.open(photo).resize(size).save(folder / f"{size[0]}.png")
    flags = ("--split", "all", "--steps", 2, "--json", "-")
    several, one = (
        ddpm("evaluate", coloured, "--data", folder, *flags),
        ddpm("evaluate", coloured, "--data", photo, *flags),
    )
    for said, size in ((several, "of several sizes"), (one, "3x20x36")):
        assert said.code == 0, said.err
        assert f"the images are {size}, not 3x8x8" in said.err
    with pytest.warns(RunWarning, match="read as the run's own"):
        found = model.bits_per_dim(Image.open(photo), steps=2, progress=False)
    assert found.total == json.loads(one.out)["bits_per_dim"]["total"]
    said = ddpm("evaluate", trained, "--data", photo)
    _one_line(said, 78, "17 levels", "256")
