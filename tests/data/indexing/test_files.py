"""Images in files are the same to the bit as in memory: whoever reads them, however far ahead, whatever happens to them."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from ddpm.data.batches import Batches, as_is, horizontal_flip
from ddpm.data.decoding import workers
from ddpm.data.imageset import ImageSet
from ddpm.data.indexing import lazy_images
from ddpm.data.open import open_both, open_source
from ddpm.data.pixels import InMemory, Lost
from ddpm.data.splits import Options
from ddpm.errors import DataError, Unavailable
from tests.harness.pictures import append, fill, trapped

__all__ = ["trapped"]
COUNT = 60


@pytest.fixture
def root(tmp_path):
    for name in ("cats", "dogs"):
        fill(tmp_path / "data" / name, COUNT // 2, first=100 * len(os.listdir(tmp_path)))
    return tmp_path / "data"


@pytest.fixture
def in_files(root):
    """Opens the folder, its images in files, for so many workers; ends these when the test ends."""
    opened = []

    def open_files(workers, **options):
        opened.append(open_source(str(root), "all", Options(in_memory=0, workers=workers, **options)))
        return opened[-1]

    yield open_files
    for images in opened:
        images.close()


def _batches(images, places=slice(None), augment=horizontal_flip):
    return Batches(images, 16, 3, augment, images.labels, places)


def _patient(images, seconds):
    images.images.reader._patience = seconds


def _busy(images, batches):
    """Waits until there are workers; returns their numbers."""
    _ = batches[0]
    return images.images.reader.pool.pids


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_batch_is_the_same_from_files_and_from_memory(root, in_files, workers):
    memory, found = open_source(str(root), "all"), in_files(workers)
    assert isinstance(memory.images, InMemory)
    assert isinstance(found.images, lazy_images.LazyImages)
    assert (found.shape, found.names, found.images.nbytes) == (memory.shape, memory.names, memory.images.nbytes)
    there, here = _batches(memory), _batches(found)
    for step in (0, 1, 2, 3, 4, 5, 9, 10, 2):  # on, over the ends of epochs, and as after a resume
        assert torch.equal(there[step], here[step])
        assert torch.equal(there.labels_of(step, 0.3), here.labels_of(step, 0.3))
    assert torch.equal(found.tensor(), memory.tensor())


def test_sizes_and_channels_are_those_of_the_options(root, in_files):
    options = {"resolution": (4, 3), "channels": 1}
    assert torch.equal(in_files(0, **options).tensor(), open_source(str(root), "all", Options(**options)).tensor())


def test_the_limit_of_memory_decides(root):
    size = COUNT * 3 * 5 * 6
    for limit, kind in ((size, InMemory), (size - 1, lazy_images.LazyImages)):
        assert isinstance(open_source(str(root), "all", Options(in_memory=limit, workers=0)).images, kind)


def test_parts_of_a_split_stay_in_files(root):
    train, test = open_both(str(root), Options(in_memory=0, workers=0, held_out=0.2))
    assert isinstance(train.images, lazy_images.LazyImages)
    assert len(train) + len(test) == COUNT
    some = test.take(torch.tensor([2, 0])).in_memory()
    assert torch.equal(some.tensor(), test.tensor()[[2, 0]])
    assert some.names == (test.names[2], test.names[0])


def test_a_fingerprint_without_decoding(root, in_files, monkeypatch):
    """It changes with any byte of any file, and with the order."""
    found = in_files(0)
    monkeypatch.setattr(lazy_images, "answer_to", None)
    assert found.digest() == in_files(0).digest()
    assert found.digest() != found.take(torch.arange(COUNT).flip(0)).digest()
    append(root / "cats" / sorted(os.listdir(root / "cats"))[0], b"x")
    assert found.digest() != in_files(0).digest()


@pytest.mark.parametrize("parts", [[slice(0, 5), slice(5, 16)], [slice(0, None, 2), slice(1, None, 2)]])
def test_parts_of_a_batch_make_the_whole(root, parts):
    images = open_source(str(root), "all")
    whole = _batches(images)
    for step in range(6):
        for part in parts:
            mine = _batches(images, part)
            assert torch.equal(mine[step], whole[step][part])
            assert torch.equal(mine.labels_of(step, 0.4), whole.labels_of(step, 0.4)[part])
            assert torch.equal(mine.rows(step), whole.rows(step)[part])


@pytest.mark.parametrize("workers", [0, 2])
def test_no_global_random_number_is_used(in_files, workers):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    batches = _batches(in_files(workers))
    _ = [batches[step] for step in range(4)]
    assert torch.equal(before, torch.get_rng_state())


def test_parts_of_a_set_do_not_get_each_others_images(in_files):
    """They share the processes that read ahead; equal places in them are other images."""
    images = in_files(1)
    first, second = images.take(torch.arange(0, 10)), images.take(torch.arange(10, 20))
    first.prefetch(torch.tensor([0, 1]))
    assert torch.equal(second.images[torch.tensor([0, 1])], images.images[torch.tensor([10, 11])])


def test_batches_are_read_ahead(in_files, monkeypatch):
    """When a batch is asked for, the next two are under way, and none is read twice."""
    batches, asked, real = _batches(in_files(2)), [], workers.WorkerPool.ask
    monkeypatch.setattr(
        workers.WorkerPool, "ask", lambda self, requests: (asked.append(len(requests)), real(self, requests))[1]
    )
    for step in range(5):
        _ = batches[step]
        assert sum(asked) == 16 * (3 + step)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_lost_worker_changes_no_bit(root, in_files, blow):
    """Killed, crashed or frozen (then after as long as an image may take): another one reads the same."""
    images = in_files(2)
    _patient(images, 1.0)
    here, there = _batches(images), _batches(open_source(str(root), "all"))
    before = _busy(images, here)
    for step in range(1, 7):
        if step in (1, 4):
            for pid in images.images.reader.pool.pids:
                os.kill(pid, blow)
        assert torch.equal(here[step], there[step])
    assert not set(before) & set(images.images.reader.pool.pids)


@pytest.mark.parametrize("polite", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_workers_leave_signals_to_their_parent(in_files, polite):
    images = in_files(1)
    batches = _batches(images)
    before = _busy(images, batches)
    for pid in before:
        assert os.getpgid(pid) != os.getpgid(0)  # what is sent to the whole group does not even reach them
        os.kill(pid, polite)
    _ = batches[1]
    assert images.images.reader.pool.pids == before


def test_a_file_that_costs_three_workers_is_named(root, in_files, trapped):
    victim = root / "dogs" / sorted(os.listdir(root / "dogs"))[3]
    append(victim, b"SUDDENLY")
    images = in_files(2)
    assert not images.broken
    trapped.touch()
    batches = _batches(images, augment=as_is)
    with pytest.raises(Unavailable, match=rf"{victim}.*SIGKILL \(3 times\)") as failure:
        _ = [batches[step] for step in range(4)]
    assert failure.value.code == 69


def test_workers_that_cannot_start_are_an_error(in_files, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable, match="did not start: it ended with code 1"):
        _ = _batches(in_files(1))[0]


def test_workers_die_with_their_parent(root, tmp_path):
    """Even one that is stopped, and so cannot see that its input has ended."""
    code = f"""
import os, signal
from ddpm.data.open import open_source
from ddpm.data.splits import Options
images = open_source({str(root)!r}, "all", Options(in_memory=0, workers=1))
images.images[slice(0, 4)]
pid, = images.images.reader.pool.pids
os.kill(pid, signal.SIGSTOP)
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 20
    while _lives(int(done.stdout)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _lives(int(done.stdout))


def _lives(pid):
    """Whether there is such a process that has not ended (nobody may have asked how)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("harm", ["flipped", "gone", "longer"])
def test_an_image_that_breaks_later_is_replaced(root, in_files, workers, harm):
    """By one that (seed, image) decides, with that one's label; the others stay, and so does the next run's choice."""
    images = in_files(workers)
    whole = _batches(open_source(str(root), "all"), augment=as_is)
    victim = root / images.names[21]
    content = victim.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    victim.unlink()
    if harm != "gone":
        victim.write_bytes(flipped if harm == "flipped" else content + b"more")  # which decodes as before
    found = []
    for _ in range(2):
        batches = _batches(images, augment=as_is)
        for step in range(8):
            x, told = batches[step], batches.labels_of(step, 0.0)
            rows = whole.rows(step)
            same = rows != 21
            assert torch.equal(x[same], whole[step][same])
            found += batches.rows(step)[~same].tolist()
            assert torch.equal(told, whole.labels[torch.where(same, rows, found[-1] if found else 0)])
            for image in x[~same]:
                assert torch.equal(image, whole.images.scaled(torch.tensor([found[-1]]))[0])
        assert list(batches.lost) == [21]
    assert len(found) >= 4
    assert len(set(found)) == 1
    assert found[0] != 21
    with pytest.raises(Lost, match=images.names[21]):
        images.tensor()


def test_a_substitute_that_is_broken_too_is_passed_over():
    images = ImageSet("numbers", torch.arange(50, dtype=torch.uint8).reshape(-1, 1, 1, 1))
    first = Batches(images, 50, 0, lost={3: ""})._instead(3)
    second = Batches(images, 50, 0, lost={3: "", first: ""})._instead(3)
    assert len({3, first, second}) == 3
    assert Batches(images, 50, 1, lost={3: ""})._instead(3) != first or first != second


def test_many_lost_images_end_the_run(root, in_files):
    """One may be lost of few; of many, one in a thousand."""
    images = in_files(0)
    for name in images.names[:2]:
        (root / name).write_bytes(b"no picture")
    batches = _batches(images)
    with pytest.raises(DataError, match=rf"2 of {COUNT} images could be read before") as failure:
        _ = [batches[step] for step in range(4)]
    assert failure.value.code == 65
