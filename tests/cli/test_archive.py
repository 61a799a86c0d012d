"""`ddpm compress -o FILE.ddpm` of many images, and back: exact, in one file, whose names never become paths."""

import json

import numpy as np
import pytest
from PIL import Image

import ddpm as library
from ddpm.codec import archive
from tests.cli.test_errors import _one_line

DIGITS = 5


@pytest.fixture(scope="module")
def packed(coder):
    """An archive of the first digits."""
    from ddpm.cli import main

    file = coder / "digits.ddpm"
    assert main(["compress", str(coder / "run"), "digits", "--num-images", str(DIGITS), "-o", str(file)]) == 0
    return file


def _same(one, other):
    """Whether two pictures have the same pixels."""
    return np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def test_there_and_back(ddpm, coder, packed, tmp_path):
    said = ddpm("decompress", packed, "--run", coder / "run", "-o", tmp_path / "out", "--json", tmp_path / "out.json")
    assert said.code == 0
    assert "5 exact, 0 estimated" in said.out
    names = [f"digits-{row:06d}.png" for row in range(DIGITS)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    found = library.images(tmp_path / "out")
    assert np.array_equal(found.numpy(), library.images("digits")[:DIGITS].numpy())
    rows = json.loads((tmp_path / "out.json").read_text())["files"]
    assert [row["label"] for row in rows] == [f"{row:06d}" for row in range(DIGITS)]
    assert {row["coding"] for row in rows} == {"archive"}


def test_some_of_them(ddpm, coder, packed, tmp_path):
    back = ("decompress", packed, "--run", coder / "run")
    assert ddpm(*back, "-o", tmp_path / "one.png", "--only", 3).code == 0
    (wanted,) = library.images("digits")[3:4].save(tmp_path / "wanted")
    assert _same(tmp_path / "one.png", wanted)
    assert ddpm(*back, "-o", tmp_path / "two", "--only", 4, 1).code == 0
    assert [path.name for path in sorted((tmp_path / "two").iterdir())] == ["digits-000001.png", "digits-000004.png"]
    _one_line(ddpm(*back, "-o", tmp_path / "o", "--only", 5), 2, "0 to 4")
    _one_line(ddpm(*back, "-o", tmp_path / "o", "--bytes", 60), 2, "read whole")
    assert not (tmp_path / "o").exists()


def test_pictures_of_all_sizes_and_files_of_one_image_beside_it(ddpm, coder, packed, tmp_path):
    """Whatever a picture was called, its file is named after the archive."""
    digits = library.images("digits")
    sheet = library.Images(digits[:6].tensor.reshape(1, 1, 16, 24), 17)
    (tmp_path / "a").mkdir()
    for number, images in enumerate((digits[0:1], sheet)):
        images.save(tmp_path / "a" / str(number))
    pictures = [tmp_path / "a" / "0" / "000000.png", tmp_path / "a" / "1" / "000000.png"]
    pictures[1] = pictures[1].rename(tmp_path / "a" / "사진 넷.png")
    assert ddpm("compress", coder / "run", *pictures, "-o", tmp_path / "b.ddpm").code == 0
    said = ddpm("inspect", tmp_path / "b.ddpm", "--json", tmp_path / "b.json")
    assert "사진 넷, 1 x 16 x 24" in said.out
    values = json.loads((tmp_path / "b.json").read_text())
    assert [image["label"] for image in values["images"]] == ["000000", "사진 넷"]
    assert values["bytes"] == (tmp_path / "b.ddpm").stat().st_size
    assert ddpm("compress", coder / "run", pictures[0], "-o", tmp_path / "one.ddpm").code == 0
    back = ("decompress", tmp_path / "one.ddpm", tmp_path / "b.ddpm", "--run", coder / "run", "-o", tmp_path / "out")
    assert ddpm(*back).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b-000000.png", "b-000001.png", "one.png"]
    assert _same(tmp_path / "out" / "b-000001.png", pictures[1])


def test_what_is_wrong_is_one_line(ddpm, coder, packed, tmp_path):
    compress = ("compress", coder / "run", "digits", "--num-images", 3, "-o", tmp_path / "a.ddpm")
    _one_line(ddpm(*compress, "--rmse", 3), 2, "holds whole images")
    back = ("--run", coder / "run", "-o", tmp_path / "o")
    (tmp_path / "cut.ddpm").write_bytes(packed.read_bytes()[:-3])
    _one_line(ddpm("decompress", tmp_path / "cut.ddpm", *back), 65, "cut short")
    (tmp_path / "empty.ddpm").write_bytes(archive.Archive(packed.read_bytes()[4:8], ()).pack())
    _one_line(ddpm("decompress", tmp_path / "empty.ddpm", *back), 65, "no images")
    wrong = bytearray(packed.read_bytes())
    wrong[-9] ^= 4
    (tmp_path / "wrong.ddpm").write_bytes(wrong)
    _one_line(ddpm("decompress", tmp_path / "wrong.ddpm", *back), 65, "damaged")
    wrong = bytearray(packed.read_bytes())
    wrong[4] ^= 1
    (tmp_path / "other.ddpm").write_bytes(wrong)
    _one_line(ddpm("decompress", tmp_path / "other.ddpm", *back), 78, "another model")
    assert ddpm("compress", coder / "run", coder / "in" / "000000.png", "-o", tmp_path / "one.ddpm").code == 0
    _one_line(ddpm("decompress", tmp_path / "one.ddpm", *back, "--only", 0), 2, "for archives")


def test_the_smaller_of_two_codes(ddpm, coder, tmp_path):
    picture = coder / "in" / "000000.png"
    compress = ("compress", coder / "run", picture, "-o")
    assert ddpm(*compress, tmp_path / "both.ddpm", "--smallest").code == 0
    assert ddpm(*compress, tmp_path / "one.ddpm").code == 0
    both, one = (tmp_path / "both.ddpm").stat().st_size, (tmp_path / "one.ddpm").stat().st_size
    assert both <= one
    assert ddpm("decompress", tmp_path / "both.ddpm", "--run", coder / "run", "-o", tmp_path / "back.png").code == 0
    assert _same(tmp_path / "back.png", picture)


def test_in_python(coder, packed):
    """As the command says, to the byte; archives and files of one image together."""
    model, digits = library.load(coder / "run"), library.images("digits")[:DIGITS]
    file = model.archive(digits, progress=False)
    assert file == packed.read_bytes()
    assert np.array_equal(model.decompress(file, progress=False).numpy(), digits.numpy())
    both = [*model.compress(digits[:2], progress=False), file]
    assert len(model.decompress(both, progress=False)) == 7
    with pytest.raises(library.UsageError, match="read whole"):
        model.decompress(file, bytes=9)
    with pytest.raises(library.UsageError, match="only one of"):
        model.compress(digits, rmse=1, smallest=True)
    assert len(archive.unpack(file).entries) == DIGITS


def test_without_the_profile_of_the_chain(ddpm, coder, packed, tmp_path):
    """It was measured where the archive was made: another one would not read it."""
    (kept,) = (coder / "run" / "codecs").glob("*-chain.json")
    kept.rename(tmp_path / "kept.json")
    said = ddpm("decompress", packed, "--run", coder / "run", "-o", tmp_path / "o")
    (tmp_path / "kept.json").rename(kept)
    _one_line(said, 78, f"made with another model or codec profile: {packed.read_bytes()[4:8].hex()}, and the weights")
