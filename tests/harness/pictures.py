"""Small folders of pictures, and decoders that crash, stall or eat memory at a word in the file."""

import numpy as np
import pytest
from PIL import Image

TRAP = """
import ctypes, os, time
import PIL.Image
_open = PIL.Image.open

def opened(file, *args, **options):
    words = file.getvalue()[-8:]
    if words == b"SEGFAULT":
        ctypes.string_at(0)
    if words == b"FREEZING":
        time.sleep(1000)
    if words == b"GLUTTONY":
        bytearray(6 * 2**30)
    if words == b"SUDDENLY" and os.path.exists(os.environ["TRAP"]):
        os.kill(os.getpid(), 9)
    return _open(file, *args, **options)

PIL.Image.open = opened
"""


def fill(folder, count, size=(6, 5), first=0):
    """`count` pictures of noise in a folder, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        pixels = np.random.RandomState(i).randint(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:05d}.png")


def append(file, word):
    """A picture that is one to every decoder but a trapped one."""
    file.write_bytes(file.read_bytes() + word)


@pytest.fixture
def trapped(tmp_path_factory, monkeypatch):
    """Processes that decode images fall for the words above; SUDDENLY only while the file exists that is returned."""
    folder = tmp_path_factory.mktemp("trap")
    (folder / "sitecustomize.py").write_text(TRAP)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("TRAP", str(folder / "on"))
    return folder / "on"
