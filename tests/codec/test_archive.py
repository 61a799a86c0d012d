"""Archives: many images in one file, exact; damage in it is told, and no image is another."""

import time
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest

from ddpm.codec import archive, container
from ddpm.codec.archive import Archive, Entry, Group
from ddpm.codec.chain import coding as chain_coding
from ddpm.codec.container import ARCHIVE, CHAIN, STORED, Header, varint
from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.trained.archived import are_sound
from tests.codec.source import toy


def codec():
    return toy(with_chain=True)


def usual(shape=(1, 4, 4), seed=0):
    """What the model is for."""
    return np.rint(np.random.default_rng(seed).normal(127.5, 10, shape)).astype(np.int64)


def packed(images, labels=None):
    labels = labels or [""] * len(images)
    groups = archive.coded(codec(), zip(labels, images, strict=True))
    return Archive(codec().named(ARCHIVE), tuple(groups)).pack()


def back(file, wanted=None):
    return dict(archive.read(codec(), archive.unpack(file), wanted))


def same(found, images):
    return len(found) == len(images) and all(np.array_equal(found[row], image) for row, image in enumerate(images))


@pytest.mark.parametrize("many", [1, 64, 65])
def test_all_images_come_back_in_their_order(many):
    images = [usual(seed=seed) for seed in range(many)]
    file = packed(images)
    assert same(back(file), images)
    assert len(archive.unpack(file).groups) == -(-many // chain_coding.GROUP)


def test_an_image_costs_less_than_a_file_of_its_own():
    """The header is paid once, and no image pays for an empty stack."""
    images = [usual((1, 8, 8), seed) for seed in range(40)]
    alone = codec().compress(images, CHAIN)
    assert len(packed(images)) < sum(map(len, alone)) - 40 * 12
    assert {file[3] & 7 for file in alone} == {CHAIN}
    for found, image in zip(codec().decompress(alone), images, strict=True):
        assert found.exact
        assert found.coding == "chain"
        assert np.array_equal(found.pixels, image)


def test_images_of_any_kind_share_an_archive():
    """Sizes and channels that are not the model's, and what it never saw."""
    shapes = [(1, 4, 4), (1, 1, 1), (3, 9, 2), (1, 30, 7)]
    noise = [np.random.default_rng(3).integers(0, 256, shape) for shape in shapes]
    images = [image for shape in shapes for image in (usual(shape), np.zeros(shape, dtype=np.int64), noise.pop())]
    labels = [f"사진 {number}" for number in range(len(images))]
    file = packed(images, labels)
    assert same(back(file), images)
    entries = archive.unpack(file).entries
    assert [entry.label for entry in entries] == labels
    assert [entry.shape for entry in entries] == [None if image.shape == (1, 4, 4) else image.shape for image in images]


@pytest.mark.parametrize("levels", [2, 17, 65536])
def test_any_number_of_levels(levels):
    many = toy((1, 4, 4), levels, with_chain=True)
    images = [np.random.default_rng(seed).integers(0, levels, (1, 4, 4)) for seed in range(3)]
    groups = tuple(archive.coded(many, (("", image) for image in images)))
    assert same(dict(archive.read(many, Archive(many.named(ARCHIVE), groups))), images)


def test_what_the_chain_makes_no_smaller_is_stored():
    noise = [np.random.default_rng(seed).integers(0, 256, (1, 4, 4)) for seed in range(70)]
    file = packed(noise)
    assert [group.stored for group in archive.unpack(file).groups] == [True, True]
    assert len(file) < 70 * 16 + 60
    assert same(back(file), noise)


def test_some_images_are_read_with_their_groups_alone(monkeypatch):
    images = [usual(seed=seed) for seed in range(70)]
    file, asked, decode = packed(images), [], archive.decode
    monkeypatch.setattr(archive, "decode", lambda streams, *more: asked.extend(streams) or decode(streams, *more))
    found = back(file, {3, 66})
    assert sorted(found) == [3, 66]
    assert np.array_equal(found[66], images[66])
    assert len(asked) == 2
    with pytest.raises(UsageError, match="none of number 70"):
        back(file, {70})


def test_an_archive_that_reads_something_else_is_not_written(monkeypatch):
    decode = archive.decode
    monkeypatch.setattr(archive, "decode", lambda *given: [[x + 1 for x in group] for group in decode(*given)])
    with pytest.raises(DataError, match="not those that were written"):
        packed([usual()])


def test_what_cannot_be_packed_is_refused(monkeypatch):
    with pytest.raises(Mismatch, match=r"0\.\.255"):
        packed([usual(), np.full((1, 4, 4), 256)])
    with pytest.raises(Mismatch, match="more than 255 bytes"):
        packed([usual()], ["한" * 86])
    with pytest.raises(DataError, match="no profile"):
        list(archive.coded(toy(), [("", usual())]))
    monkeypatch.setattr(archive, "TABLE", 100)
    with pytest.raises(Mismatch, match="make several"):
        packed([usual()] * 60)


def test_a_model_reads_its_own():
    file = packed([usual()])
    other = replace(codec(), chain=replace(codec().chain, together=(1.1,) * len(codec().chain.steps)))
    with pytest.raises(Mismatch, match="another model"):
        dict(archive.read(other, archive.unpack(file)))
    with pytest.raises(DataError, match="archive of many images"):
        codec().decompress([file])
    with pytest.raises(DataError, match="one image, where an archive"):
        archive.unpack(codec().compress([usual()])[0])


def test_an_archive_of_before_is_no_damaged_one():
    """Its first images were coded otherwise, and it has another number."""
    file = bytearray(packed([usual()]))
    assert file[3] & 7 == ARCHIVE == 4
    file[3] ^= ARCHIVE ^ 3
    for read in (archive.unpack, lambda one: codec().decompress([one])):
        with pytest.raises(DataError, match="version 1, coding 3: this program reads version 1, codings 0, 1, 2 and 4"):
            read(bytes(file))


def test_a_beginning_of_what_a_chain_coded_shows_nothing():
    (file,) = codec().compress([usual((1, 8, 8))], CHAIN)
    with pytest.raises(DataError, match="read whole"):
        codec().decompress([file], limit=len(file) - 1)
    with pytest.raises(DataError, match="read whole"):
        archive.unpack(packed([usual()])[:-1])


def test_of_an_archive_that_was_cut_the_groups_that_are_there_are_read(monkeypatch):
    """Wherever it was cut: these images, no other, and of the table all or nothing."""
    monkeypatch.setattr(archive, "GROUP", 2)
    images = [usual((1, 2, 3), seed) for seed in range(5)]
    file, many = packed(images), []
    for end in range(14, len(file) + 1):
        try:
            held = archive.unpack(file[:end], cut=True)
        except DataError as error:
            assert "cut short within its" in str(error)
            continue
        assert len(held.entries) == 5
        there = [row for row in range(5) if not held.groups[row // 2].missing]
        assert same(list(dict(archive.read(codec(), held, there)).values()), images[: len(there)])
        if len(there) < 5:
            with pytest.raises(DataError, match="where it ends"):
                next(archive.read(codec(), held, {0, 4}))
            with pytest.raises(DataError, match="read whole"):
                dict(archive.read(codec(), held))
        many.append(len(there))
    assert many == sorted(many)
    assert set(many) == {0, 2, 4, 5}


# Damage.


@pytest.fixture(scope="module")
def victims():
    """A stack of images, and stored ones."""
    images = [usual((1, 2, 3), seed) for seed in range(3)], [np.random.default_rng(1).integers(0, 256, (1, 2, 3))] * 2
    return [(packed(list(some)), list(some)) for some in images]


@pytest.mark.parametrize("which", [0, 1])
def test_no_flipped_bit_and_no_cut_gives_a_wrong_image(victims, which):
    file, images = victims[which]
    damaged = [file[:end] for end in range(len(file))]
    for place in (*range(8 * min(40, len(file))), *range(8 * 40, 8 * len(file), 11)):
        flipped = bytearray(file)
        flipped[place // 8] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    for one in damaged:
        try:
            found = back(one)
        except (DataError, Mismatch):
            continue
        assert same(found, images)


def hostile(rng, seeds):
    """A table that is wrong somewhere, with its checksum and lengths as they should be or nearly."""
    file, _ = seeds[rng.integers(len(seeds))]
    groups = list(archive.unpack(file).groups)
    group = groups[0]
    payload = bytearray(group.payload)
    for _ in range(rng.integers(0, 3)):
        at = int(rng.integers(len(payload) + 1))
        payload[at : at + int(rng.integers(0, 4))] = rng.bytes(int(rng.integers(0, 4)))
    shapes = (None, (1, 4, 4), (1, 2, 3), (3, 4, 4), (2, 1, 1), (1, 40, 40), (1, 2**11, 2**11), (1, 1, 2**22))
    entries = [
        replace(entry, shape=shapes[rng.integers(len(shapes))]) if rng.random() < 0.2 else entry
        for entry in group.entries
    ]
    entries = entries * int(rng.integers(1, 4)) if rng.random() < 0.2 else entries
    stored = group.stored ^ (rng.random() < 0.2)
    crc = group.crc if rng.random() < 0.9 else int(rng.integers(2**32))
    made = Group(tuple(entries[:64]), stored, crc, bytes(payload))
    packed_ = bytearray(Archive(codec().named(ARCHIVE), (made,) * int(rng.integers(1, 3))).pack())
    if rng.random() < 0.3:
        packed_[int(rng.integers(len(packed_)))] = int(rng.integers(256))
    return bytes(packed_)


def test_a_shape_that_the_model_cannot_take_is_damage_and_another_model_is_not():
    """The other groups are looked at all the same."""
    colours = toy((3, 2, 2), with_chain=True)
    image = np.rint(np.random.default_rng(0).normal(127.5, 10, (3, 2, 2))).astype(np.int64)
    (group,) = archive.coded(colours, [("", image)])
    two_channels = replace(group, entries=(Entry(shape=(2, 2, 2)),))
    name = colours.named(ARCHIVE)
    assert list(are_sound(colours, Archive(name, (group, two_channels, group)))) == [True, False, True]
    for groups in ((), (group,)):
        with pytest.raises(Mismatch, match="another model"):
            list(are_sound(colours, Archive(b"none", groups)))


@pytest.mark.parametrize("many", [200, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(20000)])])
def test_hostile_archives_are_refused_or_read(victims, many):
    """Whatever is read has the checksum that it says; in little memory."""
    rng, told = np.random.default_rng(0), {"read": 0, "error": 0}
    originals = {image.tobytes() for _, images in victims for image in images}
    for trial in range(many):
        file = hostile(rng, victims)
        try:
            found = back(file)
        except (DataError, Mismatch):
            told["error"] += 1
        else:
            told["read"] += 1
            assert all(image.tobytes() in originals for image in found.values()), (trial, file.hex())
    assert min(told.values()) > many / 50


@pytest.mark.parametrize(
    "group",
    [
        Group((Entry(shape=(1, 2**11, 2**11)),) * 64, stored=True, crc=0, payload=bytes(400_000)),
        Group((Entry(shape=(1, 2**11, 2**11)),), stored=False, crc=0, payload=bytes(100)),
        Group((Entry(shape=(1, 2**10, 2**10)),) * 64, stored=False, crc=0, payload=bytes(400_000)),
        Group((Entry(),) * 64, stored=False, crc=0, payload=b"\1" * (64 * 16 + 1)),
        Group((Entry(),) * 64, stored=False, crc=0, payload=b"\1" * 400_000),
    ],
)
def test_images_that_are_too_large_are_refused_at_once(group):
    file = Archive(codec().named(ARCHIVE), (group,)).pack()
    tracemalloc.start()
    with pytest.raises(DataError, match="are not those of"):
        back(file)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_table_that_unpacks_to_more_than_it_may_is_refused():
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(10**8)) + packer.flush()
    rest = varint(len(bomb)) + bomb
    file = Header(ARCHIVE, codec().name, zlib.crc32(bomb), len(rest)).pack() + rest
    tracemalloc.start()
    with pytest.raises(DataError, match="table of contents is damaged"):
        archive.unpack(file)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_an_empty_archive_holds_nothing():
    assert back(packed([])) == {}
    assert container.CODINGS[STORED] == "stored"


@pytest.mark.parametrize("label", [b"", b"a"])
def test_a_table_of_very_many_images_is_read_or_refused_at_once(label):
    """Some kilobytes that unpack to as long a table as there may be; its groups have a byte of payload, or none."""
    for payload in (0, 1):
        entry = b"\0" + varint(len(label)) + label
        group = varint(chain_coding.GROUP) + varint(2 * payload) + bytes(4) + chain_coding.GROUP * entry
        many = (archive.TABLE - 4) // len(group)
        packer = zlib.compressobj(9, wbits=-15)
        packed = packer.compress(varint(many) + many * group) + packer.flush()
        rest = varint(len(packed)) + packed + bytes(many * payload)
        file = Header(container.ARCHIVE, toy().name, zlib.crc32(packed), len(rest)).pack() + rest
        began = time.process_time()
        if payload:
            assert len(archive.unpack(file).entries) == chain_coding.GROUP * many
        else:
            with pytest.raises(DataError, match="in 0 bytes"):
                archive.unpack(file)
        assert time.process_time() - began < 20  # far below what its square would take
