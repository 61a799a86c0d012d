"""`ddpm compress -o FILE.ddpm` of many images, and back: exact, in one file, whose names never become paths."""

import json
import re
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

import ddpm as library
from ddpm.codec import archive
from ddpm.codec.chain.coding import GROUP
from ddpm.codec.container import ARCHIVE, Header, varint
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


@pytest.fixture(scope="module")
def of_three(coder):
    """An archive of which 2, 2 and 1 digits are read together."""
    from ddpm.cli import main

    file = coder / "three.ddpm"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "GROUP", 2)
        assert main(["compress", str(coder / "run"), "digits", "--num-images", str(DIGITS), "-o", str(file)]) == 0
    return file


def test_what_is_left_of_an_archive_that_was_cut(ddpm, coder, of_three, tmp_path):
    """It is told as such; images of the groups that are there can be read, as the hint says, and no others."""
    cut, run = tmp_path / "cut.ddpm", ("--run", coder / "run")
    cut.write_bytes(of_three.read_bytes()[:-9])
    whole = json.loads(ddpm("inspect", of_three, "--json", "-").out)
    assert [group["missing"] for group in whole["groups"]] == [0, 0, 0]
    for more in ((), run):
        said = ddpm("inspect", cut, *more)
        assert said.code == 0
        assert f"cut short, {cut.stat().st_size:,} of {whole['bytes']:,} bytes: 1 image is lost" in said.out
        assert "--only takes the others: 0-1, 2-3" in said.out
        assert ("all images that are there are read back exactly" in said.out) == bool(more)
    said = ddpm("decompress", cut, *run, "-o", tmp_path / "o")
    _one_line(said, 65, "cut short: an archive is read whole")
    assert (
        "ddpm inspect says which of its images can still be read, and ddpm decompress --only takes their numbers"
        in said.err
    )
    _one_line(ddpm("decompress", cut, *run, "-o", tmp_path / "o", "--only", 3, 4), 65, "where it ends")
    with pytest.raises(library.DataError) as told:
        library.load(coder / "run").decompress(cut.read_bytes())
    assert told.value.hints[0].endswith("ddpm decompress --only takes their numbers")
    assert ddpm("decompress", cut, *run, "-o", tmp_path / "a", "--only", 0, 3).code == 0
    assert ddpm("decompress", of_three, *run, "-o", tmp_path / "b", "--only", 0, 3).code == 0
    for row in ("0", "3"):
        assert _same(tmp_path / "a" / f"cut-{row:0>6}.png", tmp_path / "b" / f"three-{row:0>6}.png")
    cut.write_bytes(of_three.read_bytes()[: whole["header_bytes"] + 3])
    assert "none of the images can be read" in ddpm("inspect", cut).out
    cut.write_bytes(of_three.read_bytes()[: whole["header_bytes"] - 1])
    _one_line(ddpm("inspect", cut), 65, "cut short within its table of contents")


def test_images_that_are_lost_are_refused_by_the_table(ddpm, coder, of_three, tmp_path):
    """All of them, with the file's name, before a model is opened, and before images of another file are written."""
    cut = tmp_path / "cut.ddpm"
    header = json.loads(ddpm("inspect", of_three, "--json", "-").out)["header_bytes"]
    cut.write_bytes(of_three.read_bytes()[: header + 3])
    for run in (coder / "run", tmp_path / "none"):
        said = ddpm("decompress", of_three, cut, "--run", run, "-o", tmp_path / "o", "--only", 4, 1, 3)
        _one_line(said, 65, "cut short: 3 of these images lie where it ends: 1, 3, 4: ")
        assert repr(str(cut)) in said.err
    assert not (tmp_path / "o").exists()
    korean = ("--run", coder / "run", "-o", tmp_path / "o", "--only", 4, 1, "--language", "ko")
    assert "잘렸습니다: 이 가운데 2장이 잘린 곳에 있습니다: 1, 4" in ddpm("decompress", cut, *korean).err


def test_what_of_an_archive_was_checked(ddpm, coder, of_three, tmp_path):
    """Without the model its table and lengths, which it says; with it all images, and those that are damaged are named."""
    damaged, header = (
        tmp_path / "damaged.ddpm",
        json.loads(ddpm("inspect", of_three, "--json", "-").out)["header_bytes"],
    )
    file = bytearray(of_three.read_bytes())
    file[header + 9] ^= 16
    damaged.write_bytes(file)
    said = ddpm("inspect", damaged)
    assert said.code == 0
    assert "the table of contents and the lengths were checked; the images are checked when" in said.out
    assert "the images are checked when" not in (told := ddpm("inspect", of_three, "--run", coder / "run")).out
    assert "all images that are there are read back exactly" in told.out
    said = ddpm("inspect", damaged, "--run", coder / "run", "--json", tmp_path / "a.json")
    assert said.code == 65
    assert "damaged: 2 images cannot be read: 0-1" in said.err
    groups = json.loads((tmp_path / "a.json").read_text())["groups"]
    assert [group["exact"] for group in groups] == [False, True, True]
    korean = ddpm("inspect", damaged, "--run", coder / "run", "--language", "ko").err
    assert "손상되었습니다: 이미지 2장을 읽을 수 없습니다: 0-1" in korean


def test_of_an_archive_both_cut_and_damaged_only_what_is_sound_is_offered(ddpm, coder, of_three, tmp_path):
    """Which is known with the model alone."""
    header = json.loads(ddpm("inspect", of_three, "--json", "-").out)["header_bytes"]
    file = bytearray(of_three.read_bytes()[:-9])
    file[header + 9] ^= 16
    (tmp_path / "a.ddpm").write_bytes(file)
    assert "--only takes the others: 0-1, 2-3" in ddpm("inspect", tmp_path / "a.ddpm").out
    said = ddpm("inspect", tmp_path / "a.ddpm", "--run", coder / "run")
    assert said.code == 65
    assert "1 image is lost; --only takes the others: 2-3" in said.out
    assert "damaged: 2 images cannot be read: 0-1" in said.err
    second = json.loads(ddpm("inspect", of_three, "--json", "-").out)["groups"][0]["bytes"] + header
    file[second + 9] ^= 16
    (tmp_path / "a.ddpm").write_bytes(file)
    said = ddpm("inspect", tmp_path / "a.ddpm", "--run", coder / "run")
    assert "none of the images can be read" in said.out
    assert "damaged: 4 images cannot be read: 0-1, 2-3" in said.err


def test_images_that_are_not_there_are_not_listed(ddpm, coder, of_three, tmp_path):
    """Four kilobytes whose table claims half a million, of which none is there; and those of a file that was cut."""
    group = varint(GROUP) + varint(2) + bytes(4) + GROUP * b"\0\0"
    many = (archive.TABLE - 4) // len(group)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    table = packer.compress(varint(many) + many * group) + packer.flush()
    rest = varint(len(table)) + table
    file = Header(ARCHIVE, of_three.read_bytes()[4:8], zlib.crc32(table), len(rest) + many).pack() + rest
    (tmp_path / "many.ddpm").write_bytes(file)
    tracemalloc.start()
    said = ddpm("inspect", tmp_path / "many.ddpm", "--json", tmp_path / "many.json")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said.code == 0
    assert f"{GROUP * many:,} images in {many:,} groups" in said.out
    assert "none of the images can be read" in said.out
    assert peak < 2**26
    values = json.loads((tmp_path / "many.json").read_text())
    assert (values["images"], len(values["groups"])) == ([], many)
    (tmp_path / "cut.ddpm").write_bytes(of_three.read_bytes()[:-9])
    values = json.loads(ddpm("inspect", tmp_path / "cut.ddpm", "--json", "-").out)
    assert [image["label"] for image in values["images"]] == [f"{row:06d}" for row in range(4)]


def test_progress_and_what_is_left_of_an_archive_that_is_not_written(ddpm, coder, of_three, tmp_path, monkeypatch):
    """Images are counted; of some of them so are those that are read with them."""
    from ddpm.cli.terminal import console
    from ddpm.storage import atomic

    def fails(_path, _parts):
        raise KeyboardInterrupt

    monkeypatch.setattr(console, "QUIET_SECONDS", -1.0)
    for only, last in (((), "5/5"), (("--only", 0, 4), "3/3")):
        said = ddpm("decompress", of_three, "--run", coder / "run", "-o", tmp_path / f"o{len(only)}", *only)
        assert re.findall(r"decompressing: (\d+/\d+)", said.err)[-1] == last
    monkeypatch.setattr(atomic.durable, "write", fails)
    said = ddpm("compress", coder / "run", *sorted((coder / "in").iterdir()), "-o", tmp_path / "new" / "a.ddpm")
    assert said.code == 130
    assert "compressing: 3/3" in said.err
    assert not (tmp_path / "new").exists()


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
