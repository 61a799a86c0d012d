"""Files of weights that anybody may have made: safetensors, arrays of numpy, and torch's own, of which only tensors are taken.

A torch file is a zip archive with a pickle, and a pickle is a program. Before torch sees it (with `weights_only`), its
opcodes are read: whatever it names besides tensors is refused by name, and so are packed archives and tensors that are larger
than the file. So nothing runs, and no more memory is taken than the file has.
"""

import io
import pickletools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm.errors import SHOWN, DataError, NotFound
from ddpm.storage import archives, plain, tensorfile

MOST = 2**36
"""Bytes of a file of weights."""
PICKLE = 2**23
"""Bytes of the pickle of a torch file, which has the names and shapes alone."""
MOST_OPCODES = 250_000
"""Of such a pickle: a tensor has about 40."""
WHOLE = 8
"""Bytes of a whole number; longer ones can be made so that a dict of them takes for ever."""
MOST_ARRAYS = 5000
"""In an .npz; the header of each is a text that is parsed."""
NUMBERS = tuple(np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1"))
"""Types of an array."""
PATH = 300
"""Letters of the longest name of a tensor."""
MOST_NAMES = 2
"""Of a tensor that is in the file once: a training's weights may also be those beside their average."""
MOST_ENTRIES = 5 * tensorfile.TENSORS
"""In a torch file: tensors, numbers, and what they are in."""
ALLOWED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch.nn.parameter Parameter",
    "torch.serialization _get_layout",
    "torch Size",
    "torch device",
    "torch.storage UntypedStorage",
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")),
}  # fmt: skip
"""All that a file of tensors has a reason to name."""
REFUSED = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
"""Opcodes that name or make other things, and that torch does not write."""


NO_HEADER = 2**32
"""Of safetensors: the first eight bytes of a text say far more than any header has."""


class NoWeights(ValueError):
    """A file of another kind, and not damaged."""


def weights_in(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by their names; nested groups are joined with dots.

    Raises:
        NotFound: there is no such file.
        DataError: it is damaged or hostile, or holds other things than tensors.
    """
    try:
        with plain.opened(path, MOST) as file, open(file.descriptor, "rb", closefd=False) as stream:
            if path.suffix == ".npz":
                return _arrays(stream, file.size)
            if stream.read(2) == b"PK":
                return _torch(stream, file.size)
        return _safetensors(plain.contents(path, MOST))
    except FileNotFoundError:
        raise NotFound(f"no such file: {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {plain.why(error)}") from error
    except NoWeights as error:
        raise DataError(f"no file of weights: {path}: {error}") from error
    except ValueError as error:
        raise DataError(f"damaged weights: {path}: {error}") from error


def _safetensors(data: bytearray) -> Mapping[str, Tensor]:
    if data[:1] == b"\x80" or b"ustar" in data[:512]:
        raise ValueError("it is a pickle as torch wrote it before version 1.6, which cannot be checked")
    if int.from_bytes(data[:8], "little") >= NO_HEADER:
        raise NoWeights("it is neither safetensors nor what torch.save writes")
    return tensorfile.tensors_in(data)[1]


def _arrays(stream: io.BufferedReader, size: int) -> Mapping[str, Tensor]:
    """Of numpy.savez: numbers of the types that safetensors has too, as they are, each read once."""
    found = {}
    with archives.opened(stream) as archive:
        archives.require_unpacked(archive, size)
        if len(archive.infolist()) > MOST_ARRAYS:
            raise ValueError(f"it holds {len(archive.infolist()):,} arrays, more than {MOST_ARRAYS:,}")
        for member in archive.infolist():
            held = archives.array(archive, member, NUMBERS)
            found[member.filename.removesuffix(".npy")] = torch.from_numpy(held)
    return found


def _torch(stream: io.BufferedReader, size: int) -> Mapping[str, Tensor]:
    with archives.opened(stream) as archive:
        if any(member.filename.endswith("/constants.pkl") for member in archive.infolist()):
            raise NoWeights(
                "it is a TorchScript program, which is not run; torch.save(module.state_dict(), FILE) writes its weights"
            )
        archives.require_unpacked(archive, size)
        pickles = [member for member in archive.infolist() if member.filename.endswith(".pkl")]
        if len(pickles) != 1 or pickles[0].file_size > PICKLE:
            raise ValueError("it has not one pickle with the names of its tensors")
        _require_tensors_alone(archive.read(pickles[0]))
    stream.seek(0)
    try:
        held = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no error of its own for a file that is none
        raise ValueError(f"torch cannot read it: {str(error).splitlines()[0][:SHOWN]}") from error
    found = dict(_tensors(held))
    sizes = [(one.data_ptr(), one.shape, one.stride(), one.numel() * one.element_size()) for one in found.values()]
    if sum(held for *_, held in set(sizes)) > size or sum(held for *_, held in sizes) > MOST_NAMES * size:
        raise ValueError("its tensors say that they are larger than the file")
    return found


def _require_tensors_alone(text: bytes) -> None:
    """Every name in the pickle is of `ALLOWED`."""
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(text)):
            if number > MOST_OPCODES:
                raise ValueError(f"its pickle has more than {MOST_OPCODES:,} opcodes")
            if isinstance(argument, int) and argument.bit_length() > 8 * WHOLE:
                raise ValueError("it holds a whole number that is longer than those of tensors; nothing was run")
            if opcode.name == "GLOBAL" and argument not in ALLOWED:
                raise ValueError(f"it names {str(argument).replace(' ', '.')[:SHOWN]!r}, no tensor; nothing was run")
            if opcode.name in REFUSED:
                raise ValueError("it makes objects in a way that tensors have no need of; nothing was run")
    except ValueError:
        raise
    except Exception as error:  # whatever the bytes are
        raise ValueError(f"its pickle cannot be read: {error}") from error


def _tensors(held: object) -> Iterator[tuple[str, Tensor]]:
    """All tensors in dicts and lists, with the path to each, in their order.

    Raises:
        ValueError: there is more in it than a file of weights has: the same dict many times in itself, for example.
    """
    seen = 0
    stack = [("", held)]
    while stack:
        name, one = stack.pop()
        seen += 1
        if seen > MOST_ENTRIES:
            raise ValueError(f"it holds more than {MOST_ENTRIES:,} entries")
        if isinstance(one, Tensor):
            yield name, one.detach()
        inside = one.items() if isinstance(one, Mapping) else enumerate(one) if isinstance(one, list | tuple) else ()
        join = f"{name}." if name else ""
        if len(name) > PATH:
            raise ValueError("its dicts lie too deep in each other")
        stack.extend([(f"{join}{key}", value) for key, value in inside][::-1])
