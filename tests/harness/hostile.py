"""Models that somebody made to do harm: each is a path to read, and what is said of it. Nothing here is run by being made."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import torch

from ddpm.interop.diffusers import network

CONFIG: dict[str, Any] = {
    **network.DEFAULTS,
    "_class_name": "UNet2DModel",
    "sample_size": 8,
    "block_out_channels": [8],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
LARGE = 60 * 10**6
"""Bytes of a file that is honest about its size."""
SAFE = "diffusion_pytorch_model.safetensors"


class Payload:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {self.path}",)


def saved(held: object, **how: Any) -> bytes:
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(held, file, **how)
    return file.getvalue()


def archive(pickled: bytes, *, packed: bool = False, more: bytes = b"") -> bytes:
    """A torch file with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/version", "3\n")
        if more:
            made.writestr("archive/data/0", more)
    return file.getvalue()


def nested(levels: int) -> dict[str, Any]:
    """Levels of twelve keys, all of the same dict below: 12^8 entries in a few KB."""
    held: dict[str, Any] = {"a": torch.zeros(1)}
    for _ in range(levels):
        held = {f"{key}": held for key in range(12)}
    return held


def deep(levels: int) -> Any:
    """Lists in lists."""
    held: Any = torch.zeros(1)
    for _ in range(levels):
        held = [held]
    return held


def safe(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return pack("<Q", len(text)) + text + data


def tensor(begin: int, end: int, *shape: int) -> dict[str, Any]:
    """An entry of such a header."""
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}


def two_directories() -> bytes:
    """What Python reads holds one small pickle; a reader that goes by the record at the end finds another directory."""
    good, bad = archive(pickle.dumps({}, protocol=2)), archive(b"\x80\x02}q\x00." + bytes(10**8), packed=True)
    end = bytearray(good[-22:])
    begin = len(bad) + int.from_bytes(end[16:20], "little")
    end[16:20] = pack("<I", begin - int.from_bytes(end[12:16], "little") - 100)
    return bad + good[:-22] + bytes(end)


def many_members(count: int) -> bytes:
    """An archive of empty members, one local header for all."""
    local = b"PK\3\4" + pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = b"PK\1\2" + pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    length, place = count * len(entry), len(local) + count * len(entry)
    end_64 = b"PK\6\6" + pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, length, len(local))
    locator = b"PK\6\7" + pack("<IQI", 0, place, 1)
    end = b"PK\5\6" + pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return local + entry * count + end_64 + locator + end


def colliding() -> bytes:
    """A dict of whole numbers that all have the same hash."""
    numbers = {number * (2**61 - 1): None for number in range(1, 2000)}
    return archive(pickle.dumps(numbers, protocol=2))


def overlapping_arrays() -> bytes:
    """An npz in which a thousand members are the same bytes."""
    file = io.BytesIO()
    np.savez(file, a=np.zeros(10**5))
    with zipfile.ZipFile(file, "a") as made:
        (one,) = made.infolist()
        for number in range(1000):
            twin = zipfile.ZipInfo(f"a{number}.npy")
            twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = 0, one.file_size, one.file_size, one.CRC
            made.filelist.append(twin)
        made._didModify = True  # so that its directory is written again
    return file.getvalue()


def arrays(**held: Any) -> bytes:
    """What numpy.savez writes."""
    file = io.BytesIO()
    np.savez(file, **held)
    return file.getvalue()


def packed_arrays(count: int) -> bytes:
    """Zeros, packed a thousand to one."""
    file = io.BytesIO()
    np.savez_compressed(file, **{"model/temb/dense0/W": np.zeros((count, 1000), np.float32)})
    return file.getvalue()


BINS = {
    "a payload": lambda mark: (archive(pickle.dumps({"a": Payload(mark)}, protocol=2)), "no tensor; nothing was run"),
    "a payload by another opcode": lambda mark: (
        archive(pickle.dumps({"a": Payload(mark)}, protocol=4)),
        "nothing was run",
    ),
    "a payload beside the archive": lambda mark: (pickle.dumps({"a": Payload(mark)}, protocol=2), "header|pickle"),
    "a payload in a large file": lambda mark: (
        archive(pickle.dumps({"a": Payload(mark)}, protocol=2), more=bytes(LARGE)),
        "nothing was run",
    ),
    "a packed archive": lambda _: (archive(b"\x80\x02}q\x00." + b" " * 10**6, packed=True), "packed"),
    "a zip bomb": lambda _: (archive(b"\x80\x02}q\x00.", packed=True, more=bytes(5 * 10**8)), "packed"),
    "two directories": lambda _: (two_directories(), "directory is not at its end"),
    "a directory of a million": lambda _: (many_members(10**6), "has 1,000,000 members"),
    "one dict many times in itself": lambda _: (saved(nested(8)), "entries"),
    "dicts deep in each other": lambda _: (saved(deep(200)), "deep"),
    "numbers of one hash": lambda _: (colliding(), "longer than those of tensors"),
    "a pickle of eight million opcodes": lambda _: (archive(b"\x80\x02" + b"N0" * (4 * 10**6 - 2) + b"N."), "opcodes"),
    "as many opcodes as there may be": lambda _: (archive(b"\x80\x02]" + b"Na" * 124_990 + b"."), "entries"),
    "huge by its strides": lambda _: (saved({"a": torch.zeros(1).expand(10**6, 10**6)}), "larger than the file"),
    "an old pickle": lambda _: (
        saved({"a": torch.zeros(2)}, _use_new_zipfile_serialization=False),
        "before version 1.6",
    ),
    "no pickle": lambda _: (archive(b""), "pickle"),
    "cut": lambda _: (saved({"a": torch.zeros(100)})[:300], "archive"),
    "empty": lambda _: (b"", "0 bytes"),
}
"""Files that torch would read, by their bytes and what is said of them; a payload would write the file `mark`."""
SAFES = {
    "overlapping tensors": lambda: (safe({"a": tensor(0, 8, 2), "b": tensor(0, 8, 2)}, bytes(8)), "begins at byte"),
    "a huge tensor": lambda: (safe({"a": tensor(0, 8, 10**9, 10**9)}, bytes(8)), "does not take|impossible"),
    "a huge header": lambda: (pack("<Q", 2**60) + b"{}", "neither safetensors"),
    "as many tensors as there may be": lambda: (
        safe({f"{n}{'x' * 700}": tensor(0, 0, 0) for n in range(20_000)}),
        "such as",
    ),
    "whole numbers for weights": lambda: (
        safe({"a": {"dtype": "I8", "shape": [LARGE], "data_offsets": [0, LARGE]}}, bytes(LARGE)),
        "asks for",
    ),
}
NPZS = {
    "a packed npz": lambda: (packed_arrays(10**5), "packed"),
    "overlapping arrays": lambda: (overlapping_arrays(), "more than the file has"),
    "whole numbers in an npz": lambda: (
        arrays(**{"model/temb/dense0/W": np.zeros((LARGE // 100, 100), np.int8), "model/conv_in/W": np.zeros((3, 3, 3, 32))}),
        "no level",
    ),
    "twenty thousand arrays": lambda: (arrays(**{f"x{n}": np.zeros(0) for n in range(20_000)}), "20,000 arrays"),
    "as many arrays as there may be": lambda: (
        arrays(**{"model/temb/dense0/W": np.zeros(1), **{f"x{n}": np.zeros(0) for n in range(4999)}}),
        "missing",
    ),
}  # fmt: skip
CONFIGS = {
    "10^9 channels": ({"block_out_channels": [10**9]}, "asks for"),
    "10^9 layers": ({"layers_per_block": 10**9}, "asks for"),
    "a thousand levels": (
        {
            "block_out_channels": [8] * 1000,
            "down_block_types": ["DownBlock2D"] * 1000,
            "up_block_types": ["UpBlock2D"] * 1000,
        },
        ".",
    ),
    "a name of four million letters": ({"act_fn": "x" * (4 * 10**6)}, "act_fn"),
    "many keys": ({f"key {n}": [[0] * 4] * 4 for n in range(10**5)}, "."),
}
KINDS = (*BINS, *SAFES, *NPZS, *CONFIGS, "a link out of the folder", "a link to a device")

LARGEST = ("a payload in a large file", "a zip bomb", "whole numbers for weights", "whole numbers in an npz")
"""Those that could take the most memory."""

CODES = {
    **dict.fromkeys(("as many tensors as there may be", "whole numbers in an npz"), 78),
    **dict.fromkeys(("a thousand levels", "a name of four million letters", "many keys"), 2),
}
"""Exit codes that are not 65: of files that are sound, and are of no network, or of one that we do not have."""


def folder_of(path: Path, config: dict[str, Any] = CONFIG, weights: bytes | None = None) -> Path:
    """A flat folder; `weights` are the bytes of its .bin."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    if weights is not None:
        (path / "diffusion_pytorch_model.bin").write_bytes(weights)
    return path


def made(folder: Path, kind: str) -> tuple[Path, str]:
    """One of `KINDS`: what to read, and what is said. A payload would write `folder`/run-by-the-file."""
    folder.mkdir(exist_ok=True)
    model = folder / "model"
    if kind in BINS:
        data, said = BINS[kind](folder / "run-by-the-file")
        return folder_of(model, weights=data), said
    if kind in SAFES:
        data, said = SAFES[kind]()
        (folder_of(model) / SAFE).write_bytes(data)
        return model, said
    if kind in NPZS:
        data, said = NPZS[kind]()
        (folder / "model.npz").write_bytes(data)
        return folder / "model.npz", said
    if kind in CONFIGS:
        change, said = CONFIGS[kind]
        return folder_of(model, {**CONFIG, **change}, saved({"a": torch.zeros(3)})), said
    outside = folder / "secret.bin"
    outside.write_bytes(saved({"a": torch.zeros(3)}))
    target = Path("/dev/zero") if "device" in kind else outside
    (folder_of(model) / "diffusion_pytorch_model.bin").symlink_to(target)
    return model, "leads out of its folder"


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files of a folder that are no links."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())
