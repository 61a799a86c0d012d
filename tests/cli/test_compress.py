"""`ddpm compress`, `decompress` and `inspect`: exact round trips, beginnings of files, and faults in one line."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import ddpm as library
from ddpm.codec import container
from tests.cli.test_errors import _one_line

HEADER = 13


@pytest.fixture(name="packed", scope="module")
def _packed(coder):
    """The files of the three digits."""
    from ddpm.cli import main

    pictures = [str(path) for path in sorted((coder / "in").iterdir())]
    assert main(["compress", str(coder / "run"), *pictures, "-o", str(coder / "packed")]) == 0
    return sorted((coder / "packed").iterdir())


def _values(path):
    return library.images(str(path)).numpy()


def test_there_and_back(ddpm, coder, packed, tmp_path):
    assert [path.name for path in packed] == ["000000.ddpm", "000001.ddpm", "000002.ddpm"]
    said = ddpm("decompress", *packed, "--run", coder / "run", "-o", tmp_path / "out", "--json", tmp_path / "out.json")
    assert said.code == 0, said.err
    assert "3 images in" in said.out
    assert "3 exact, 0 estimated" in said.out
    assert np.array_equal(_values(tmp_path / "out"), library.images("digits")[:3].numpy())
    rows = json.loads((tmp_path / "out.json").read_text())["files"]
    assert [row["bytes"] for row in rows] == [path.stat().st_size for path in packed]


def test_what_is_said_of_each_file(ddpm, coder, tmp_path):
    """Of a source the first images, called by their numbers; the numbers are those of the files."""
    said = ddpm(
        *("compress", coder / "run", "digits", "--num-images", 2, "-o", tmp_path / "o", "--json", tmp_path / "o.json")
    )
    assert said.code == 0, said.err
    held = json.loads((tmp_path / "o.json").read_text())
    for row in held["files"]:
        length = (tmp_path / "o" / row["file"]).stat().st_size
        assert (row["bytes"], row["exact"], row["rmse"], row["raw_bytes"]) == (length, True, 0, 64)
        assert row["bits_per_pixel"] == pytest.approx(8 * length / 64)
        assert f"{row['file']}: {length} bytes, {length / 8:.3f} bits per pixel, exact (64 of pixels" in said.out
    assert held["total"]["bytes"] == sum(row["bytes"] for row in held["files"])
    assert "2 images: " in said.out


def test_fewer_bytes(ddpm, coder, tmp_path):
    """At a rate the file is no longer than that; at an error one byte less would leave more."""
    picture, model = coder / "in" / "000001.png", library.load(coder / "run")
    said = ddpm("compress", coder / "run", picture, "-o", tmp_path / "a.ddpm", "--bits-per-pixel", 2.9)
    assert said.code == 0, said.err
    assert (tmp_path / "a.ddpm").stat().st_size == 23
    assert "RMSE" in said.out
    assert ddpm("compress", coder / "run", picture, "-o", tmp_path / "b.ddpm", "--rmse", 60).code == 0
    file = (tmp_path / "b.ddpm").read_bytes()

    def error(some):
        with pytest.warns(library.RunWarning, match="end early"):
            found = model.decompress(some, progress=False)
        return 255 / 16 * np.sqrt(np.square(found.numpy() - library.images("digits")[1].numpy().astype(float)).mean())

    assert error(file) <= 60 < error(file[:-1])


def test_a_file_that_ends_early_is_an_estimate(ddpm, coder, packed, tmp_path):
    early = tmp_path / "cut.ddpm"
    early.write_bytes(packed[0].read_bytes()[:20])
    said = ddpm("decompress", early, "--run", coder / "run", "-o", tmp_path / "a.png")
    assert said.code == 0, said.err
    assert "an estimate, from the first 20 bytes: as far as " in said.out
    assert ddpm("decompress", packed[0], "--run", coder / "run", "-o", tmp_path / "b.png", "--bytes", 20).code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    for name, seed in (("c", 1), ("d", 1), ("e", 2)):
        drawn = ("--bytes", 20, "--sample", "--seed", seed)
        assert ddpm("decompress", packed[0], "--run", coder / "run", "-o", tmp_path / f"{name}.png", *drawn).code == 0
    drawn = [(tmp_path / f"{name}.png").read_bytes() for name in "abcde"]
    assert len(set(drawn)) == 3
    assert drawn[2] == drawn[3]


def test_what_is_inside(ddpm, coder, packed):
    said = ddpm("inspect", packed[0], "--json", "-")
    held = json.loads(said.out)
    assert (held["version"], held["header_bytes"], held["shape"]) == (1, HEADER, None)
    assert held["bytes"] == held["whole_bytes"] == packed[0].stat().st_size
    with_run = json.loads(ddpm("inspect", packed[0], "--run", coder / "run", "--json", "-").out)
    stages = with_run["stages"]
    assert (with_run["exact"], with_run["shape"]) == (True, [1, 8, 8])
    assert (stages[0]["stage"], stages[0]["bytes"]) == ("nothing", HEADER)
    assert (stages[-1]["stage"], stages[-1]["bytes"], stages[-1]["rmse"]) == ("exact", held["bytes"], 0)
    assert [stage["bytes"] for stage in stages] == sorted({stage["bytes"] for stage in stages})


def test_of_a_file_that_was_cut_the_error_is_not_called_that_of_the_image(ddpm, coder, packed, tmp_path):
    beginning = tmp_path / "b.ddpm"
    beginning.write_bytes(packed[0].read_bytes()[:-4])
    told, whole = (ddpm("inspect", file, "--run", coder / "run").out for file in (beginning, packed[0]))
    assert "the image itself is not known, so RMSE is the distance to what all the bytes that are there show" in told
    assert "not known" not in whole


def test_nothing_is_overwritten(ddpm, coder, packed, tmp_path):
    before = [path.read_bytes() for path in packed]
    _one_line(ddpm("compress", coder / "run", coder / "in" / "000000.png", "-o", coder / "packed"), 73, "there already")
    assert [path.read_bytes() for path in packed] == before
    (tmp_path / "a.png").write_bytes(b"mine")
    said = ddpm("decompress", packed[0], "--run", coder / "run", "-o", tmp_path / "a.png")
    _one_line(said, 73, "there already")
    assert "give another --output" in said.err
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    within = ("decompress", packed[0], "--run", coder / "run", "-o", coder / "run" / "checkpoints")
    _one_line(ddpm(*within), 73, "belongs to the run")


def test_several_images_are_not_one_file(ddpm, coder, packed, tmp_path):
    pictures = sorted((coder / "in").iterdir())[:2]
    said = ddpm("decompress", *packed, "--run", coder / "run", "-o", tmp_path / "a.png")
    _one_line(said, 2, "do not go into one file")
    assert "--output DIR" in said.err
    twice = ddpm("compress", coder / "run", pictures[0], pictures[0], "-o", tmp_path / "o")
    _one_line(twice, 2, "would be one file")
    assert not (tmp_path / "o").exists()


def test_a_folder_of_files(ddpm, coder, packed, tmp_path):
    """The hint holds."""
    said = ddpm("decompress", packed[0].parent, "--run", coder / "run", "-o", tmp_path / "o")
    _one_line(said, 66, "a folder, not a file")
    assert "name the files in it" in said.err
    assert ddpm("decompress", *packed, "--run", coder / "run", "-o", tmp_path / "o").code == 0


def test_bytes_that_follow_are_told_with_the_file(ddpm, coder, packed, tmp_path):
    (tmp_path / "longer.ddpm").write_bytes(packed[0].read_bytes() + b"xyz")
    said = ddpm("decompress", tmp_path / "longer.ddpm", "--run", coder / "run", "-o", tmp_path / "o")
    _one_line(said, 65, "longer.ddpm")


def test_pictures_of_another_size_and_a_folder_of_several(ddpm, coder, tmp_path):
    """A picture is coded as large as it is; a folder of several sizes asks for the files."""
    large = library.Images(library.images("digits")[:6].tensor.reshape(1, 1, 16, 24), 17)
    large.save(tmp_path / "in" / "a")
    library.images("digits")[:1].save(tmp_path / "in" / "b")
    said = ddpm("compress", coder / "run", tmp_path / "in", "-o", tmp_path / "o")
    assert (said.code, "give the files themselves" in said.err) == (65, True)
    whole = tmp_path / "a.ddpm"
    assert ddpm("compress", coder / "run", tmp_path / "in" / "a" / "000000.png", "-o", whole).code == 0
    assert container.unpack(whole.read_bytes())[0].shape == (1, 16, 24)
    assert ddpm("decompress", whole, "--run", coder / "run", "-o", tmp_path / "back.png").code == 0
    back, given = (Image.open(path) for path in (tmp_path / "back.png", tmp_path / "in" / "a" / "000000.png"))
    assert np.array_equal(np.asarray(back), np.asarray(given))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda file: b"nonsense" * 9, 65, "not a file of ddpm compress"),
        (lambda file: file[:9], 65, "too short"),
        (lambda file: file + b"more", 65, "bytes follow its header"),
        (lambda file: file[:4] + b"\0\0\0\0" + file[8:], 78, "made with another model"),
        (lambda file: file[:8] + b"\0\0\0\0" + file[12:], 65, "damaged"),
    ],
    ids=["foreign", "short", "long", "model", "pixels"],
)
def test_files_that_are_wrong(ddpm, coder, packed, tmp_path, change, code, words):
    """Named among others, in a line; no picture is written of them."""
    wrong = tmp_path / "wrong.ddpm"
    wrong.write_bytes(change(packed[0].read_bytes()))
    said = ddpm("decompress", packed[1], wrong, "--run", coder / "run", "-o", tmp_path / "o")
    _one_line(said, code, words)
    assert "wrong.ddpm" in said.err
    assert not (tmp_path / "o").exists()


def test_a_model_that_coded_nothing_is_not_given_a_profile(ddpm, coder, packed, tmp_path):
    """It did not write the file, or elsewhere; and the hint: with the profile of the run that wrote the files it reads them."""
    bare = shutil.copytree(coder / "run", tmp_path / "run")
    shutil.rmtree(bare / "codecs")
    command = ("decompress", packed[0], "--run", bare, "-o", tmp_path / "a.png")
    said = ddpm(*command)
    wrote, digest = packed[0].read_bytes()[4:8].hex(), library.load(bare).loaded.digest[:8]
    _one_line(said, 78, f"made with another model or codec profile: {wrote}, and the weights {digest} have none")
    assert "copy it from the run that wrote the files" in said.err
    _one_line(ddpm("inspect", packed[0], "--run", bare), 78, f"profile: {wrote}")
    with pytest.raises(library.Mismatch, match="made with another model"):
        library.load(bare).decompress(packed[0].read_bytes(), progress=False)
    assert not (bare / "codecs").exists()
    shutil.copytree(coder / "run" / "codecs", bare / "codecs")
    assert ddpm(*command).code == 0


def test_a_file_of_another_model_is_read_by_its_own(ddpm, coder, packed, tmp_path):
    """As the hint says."""
    said = ddpm("decompress", packed[0], "--run", "ddpm:mnist", "-o", tmp_path / "a.png")
    _one_line(said, 78, "made with another model or codec profile")
    assert "name the model that wrote it" in said.err
    assert ddpm("decompress", packed[0], "--run", coder / "run", "-o", tmp_path / "a.png").code == 0


def test_images_that_cannot_be_coded_are_refused_before_a_profile_is_measured(ddpm, coder, tmp_path, monkeypatch):
    """Which takes long: one of other levels, and one that is too large. What can be coded is read, and then measured for."""
    measured = []
    monkeypatch.setattr("ddpm.trained.coding.measured_profile", lambda trained: measured.append(1) or 1 / 0)
    bare = shutil.copytree(coder / "run", tmp_path / "run")
    shutil.rmtree(bare / "codecs")
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    right = coder / "in" / "000000.png"
    for output in ("o", "o.ddpm"):
        said = ddpm("compress", bare, right, tmp_path / "grey.png", "-o", tmp_path / output)
        assert (said.code, "17 levels, not 256" in said.err) == (78, True)
    large = library.Images(library.images("digits")[:1].tensor.repeat(1, 1, 257, 256), 17)
    with pytest.raises(library.Mismatch, match="4,210,688 numbers: 1 to 4,194,304 can be coded"):
        library.load(bare).compress(large, progress=False)
    with pytest.raises(library.Mismatch, match="can be coded"):
        library.load(bare).archive(large, progress=False)
    assert not measured
    with pytest.raises(ZeroDivisionError):
        library.load(bare).compress(library.images("digits")[:1], progress=False)
    assert measured == [1]


def test_a_picture_that_is_read_twice_is_remarked_on_once(coder, tmp_path):
    """It is read before a profile is measured, and again to be coded."""
    from ddpm.trained.coded import images_to_code

    picture, heard = tmp_path / "see-through.png", []
    Image.new("LA", (8, 8)).save(picture)
    loaded = library.load("ddpm:mnist").loaded
    (given,) = images_to_code(loaded, picture, tell=heard.append)
    assert np.array_equal(given.read(), given.read())
    assert len(heard) == 1
    assert "not as it is stored" in heard[0]


def test_another_model_is_told_before_its_codec_is_made(ddpm, coder, packed, tmp_path, monkeypatch):
    monkeypatch.setattr("ddpm.trained.coded.codec_of", lambda *_given, **_more: pytest.fail("the codec was made"))
    other = bytearray(packed[0].read_bytes())
    other[4] ^= 1
    (tmp_path / "other.ddpm").write_bytes(other)
    said = ddpm("decompress", packed[0], tmp_path / "other.ddpm", "--run", coder / "run", "-o", tmp_path / "o")
    _one_line(said, 78, f"{other[4:8].hex()}, not {packed[0].read_bytes()[4:8].hex()}")
    assert "other.ddpm" in said.err


def test_values_that_make_no_sense(ddpm, coder, tmp_path):
    compress = ("compress", coder / "run", coder / "in" / "000000.png", "-o", tmp_path / "o")
    _one_line(ddpm(*compress, "--bits-per-pixel", 0), 2, "a number above 0")
    _one_line(ddpm(*compress, "--rmse", -1), 2, "at least 0")
    _one_line(ddpm(*compress, "--rmse", 1, "--bits-per-pixel", 1), 2, "not allowed with")
    said = ddpm(*compress, "--bits-per-pixel", 1)
    _one_line(said, 2, "the header alone has 13")
    assert "hint: --bits-per-pixel 1.63 holds it" in said.err
    assert ddpm(*compress, "--bits-per-pixel", 1.75).code == 0
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    _one_line(ddpm("compress", coder / "run", tmp_path / "grey.png", "-o", tmp_path / "p"), 78, "17 levels, not 256")


def test_without_the_extra(ddpm, coder, packed, tmp_path, monkeypatch):
    monkeypatch.setattr("ddpm.trained.coded.find_spec", lambda name: None)
    for command in (
        ("compress", coder / "run", coder / "in" / "000000.png", "-o", tmp_path / "o"),
        ("decompress", packed[0], "--run", coder / "run", "-o", tmp_path / "o"),
    ):
        said = ddpm(*command)
        _one_line(said, 2, "needs constriction, which is not installed")
        assert "hint: pip install 'ddpm[codec]'" in said.err
    assert ddpm("inspect", packed[0]).code == 0


def test_the_library_opens_without_the_extra(trained):
    """As where constriction is not installed: nothing but the codec needs it."""
    code = f"""import sys; sys.modules["constriction"] = None; import ddpm; print(ddpm.load({str(trained)!r}).shape)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 8, 8)\n"


def test_ctrl_c_leaves_whole_files_alone(ddpm, coder, tmp_path, monkeypatch):
    from ddpm.storage import atomic

    write, written = atomic.durable.write, []

    def interrupted(path, parts):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, parts)

    monkeypatch.setattr(atomic.durable, "write", interrupted)
    said = ddpm("compress", coder / "run", *sorted((coder / "in").iterdir()), "-o", tmp_path / "o")
    assert said.code == 130, said.err
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["000000.ddpm"]
    assert ddpm("inspect", tmp_path / "o" / "000000.ddpm").code == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_folder_is_made_for_a_file_alone(ddpm, coder, packed, tmp_path, monkeypatch, error):
    """None is left of a command in which no file was written: it was refused, interrupted, or the disk was full."""
    from ddpm.storage import atomic

    def fails(_path, _parts):
        raise error

    picture, run, out = coder / "in" / "000000.png", coder / "run", tmp_path / "a" / "b"
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    assert ddpm("compress", run, tmp_path / "grey.png", "-o", out).code == 78
    assert ddpm("compress", run, picture, "-o", out, "--bits-per-pixel", 1).code == 2
    monkeypatch.setattr(atomic.durable, "write", fails)
    for command in (
        ("compress", run, picture, "-o", out),
        ("decompress", packed[0], "--run", run, "-o", out),
    ):
        assert ddpm(*command).code in (130, 74), command
    assert not (tmp_path / "a").exists()


@pytest.fixture(name="large")
def _large(tmp_path):
    """A picture of six tiles."""
    (picture,) = library.Images(library.images("digits")[:6].tensor.reshape(1, 1, 16, 24), 17).save(tmp_path / "large")
    return picture


def test_a_large_picture_has_progress_within_it(ddpm, coder, large, tmp_path, monkeypatch):
    """In tiles, as far as the network was asked; images of the model's own size are counted as such."""
    from ddpm.cli.terminal import console

    monkeypatch.setattr(console, "QUIET_SECONDS", -1.0)
    commands = {
        "compressing": ("compress", coder / "run", large, "-o", tmp_path / "a.ddpm", "--rmse", 9),
        "decompressing": ("decompress", tmp_path / "a.ddpm", "--run", coder / "run", "-o", tmp_path / "a.png"),
    }
    for label, command in commands.items():
        told = re.findall(rf"{label}: (\d+)/(\d+) .*tiles", ddpm(*command).err)
        done = [int(number) for number, _ in told]
        assert {of for _, of in told} == {"6"}
        assert done == sorted(set(done))
        assert len(done) > 3, (label, done)
        assert done[-1] == 6
    said = ddpm("compress", coder / "run", *sorted((coder / "in").iterdir()), "-o", tmp_path / "o").err
    assert re.findall(r"compressing: (\d+/\d+)", said)[-1] == "3/3"
    assert "tiles" not in said


def test_ctrl_c_within_a_large_picture_leaves_nothing(ddpm, coder, large, tmp_path, monkeypatch):
    from ddpm.cli.terminal.console import Bar

    def interrupted(_bar, _count):
        raise KeyboardInterrupt

    assert ddpm("compress", coder / "run", large, "-o", tmp_path / "a.ddpm").code == 0
    monkeypatch.setattr(Bar, "advance", interrupted)
    assert ddpm("compress", coder / "run", large, "-o", tmp_path / "o").code == 130
    assert ddpm("decompress", tmp_path / "a.ddpm", "--run", coder / "run", "-o", tmp_path / "o").code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ddpm", "large"]


def test_in_korean(ddpm, coder, packed, tmp_path):
    korean = ("--language", "ko")
    said = ddpm("compress", coder / "run", coder / "in" / "000000.png", "-o", tmp_path / "o", *korean)
    assert all(word in said.out for word in ("바이트", "픽셀당", "정확")), said.out
    told = ddpm("inspect", packed[0], "--run", coder / "run", *korean).out
    assert all(word in told for word in ("머리말", "잡음", "그대로")), told
    early = ddpm("decompress", packed[0], "--run", coder / "run", "-o", tmp_path / "a.png", "--bytes", 20, *korean)
    assert "추정" in early.out


def test_a_profile_of_other_weights(ddpm, coder, packed, tmp_path):
    """As it is hinted, without it a new one is made."""
    run = shutil.copytree(coder / "run", tmp_path / "run")
    (kept,) = (run / "codecs").iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"weights": "others"}), encoding="utf-8")
    compress = ("compress", run, coder / "in" / "000000.png", "-o", tmp_path / "o")
    _one_line(ddpm(*compress), 65, "profile of other weights")
    kept.unlink()
    assert ddpm(*compress).code == 0
    assert (tmp_path / "o" / "000000.ddpm").read_bytes() == packed[0].read_bytes()


def test_in_python(coder):
    """Images of one size come back together; of several each size alone."""
    model, digits = library.load(coder / "run"), library.images("digits")
    small = model.compress(digits[:2], progress=False)
    large = model.compress(digits[:6].tensor.reshape(1, 1, 16, 24), progress=False)
    with pytest.raises(library.Mismatch, match="differ in size"):
        model.decompress([*small, *large], progress=False)
    assert np.array_equal(model.decompress(small, progress=False).numpy(), digits[:2].numpy())
    assert model.decompress(large, bytes=len(large[0]), progress=False).numpy().shape == (1, 16, 24, 1)
    with pytest.raises(library.UsageError, match="only one of"):
        model.compress(digits[0], rmse=1, bits_per_pixel=1)
    with pytest.raises(library.UsageError, match="the bytes of a file"):
        model.decompress([])
