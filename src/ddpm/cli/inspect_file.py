"""`ddpm inspect`: what a file of `ddpm compress` holds."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled
from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted
from ddpm.errors import DataError

LINES = 20
"""Of so many images of an archive each has a line."""
ABOUT = "show what a file of `ddpm compress` holds"
EXAMPLES = """\
ddpm inspect a.ddpm
ddpm inspect a.ddpm --run runs/mine --json a.json
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm inspect`."""
    what = parser.add_argument_group("what to look at")
    what.add_argument("file", type=filled, metavar="FILE", help="a file of ddpm compress, or the beginning of one")
    what.add_argument(
        "--run",
        type=filled,
        metavar="RUN",
        help="run folder, checkpoint or ddpm:mnist: read all of it, and say what each\n"
        "part adds, or which images of an archive are damaged",
    )
    groups.reading(parser)
    groups.json(parser.add_argument_group("where it goes"), "the same as JSON")
    groups.running(parser)


def run(options: Namespace) -> None:
    """What the header says; with a model, how far the file goes and what each stage takes."""
    from ddpm.codec.container import ARCHIVE, CODINGS, unpack
    from ddpm.codec.profile import VERSION
    from ddpm.trained.coded import read_file

    json_target, path = JsonTarget(options.json), Path(options.file).expanduser()
    file = read_file(path)
    header, payload = unpack(file)
    if header.coding == ARCHIVE:
        values = _table(options, file) | {"version": VERSION, "model": header.model.hex()}
        json_target.write(values)
        _tell_table(values)
        json_target.tell()
        _require_sound(values)
        return
    head = len(file) - len(payload)
    values: dict[str, Any] = {
        "file": options.file,
        "version": VERSION,
        "coding": CODINGS[header.coding],
        "model": header.model.hex(),
        "shape": list(header.shape) if header.shape else None,
        "bytes": len(file),
        "header_bytes": head,
        "whole_bytes": None if header.plain else head + header.length,  # how many pixels, the model says
        "crc": f"{header.crc:08x}",
    }
    if options.run is not None:
        values |= _read(options, file)
    json_target.write(values)
    _tell(values)
    json_target.tell()


def _table(options: Namespace, file: bytes) -> dict[str, Any]:
    """The table of contents of an archive, and of each group whether it is there; with a model, whether it is as it was written."""
    from ddpm.cli.parts.opening import opened
    from ddpm.trained.archived import are_sound, table_of
    from ddpm.trained.coded import codec_to_read, named_in_errors

    name = repr(options.file)
    archive = table_of(name, file, cut=True)
    groups: list[dict[str, Any]] = [
        {"images": len(group.entries), "bytes": len(group.payload) + group.missing, "stored": group.stored}
        | {"crc": f"{group.crc:08x}", "missing": group.missing}
        for group in archive.groups
    ]
    there = sum(len(group.entries) for group in takewhile(lambda group: not group.missing, archive.groups))
    images = [  # of what was cut off none: a few kilobytes can claim very many
        {"label": entry.label or f"{row:06d}", "shape": list(entry.shape) if entry.shape else None}
        for row, entry in enumerate(archive.entries[:there])
    ]
    if options.run is not None:
        codec = codec_to_read(opened(options), [(name, file)])
        with named_in_errors(name):
            sound = track(are_sound(codec, archive), len(groups), "reading groups")
            for group, exact in zip(groups, sound, strict=True):
                group["exact"] = exact
    header = len(file) - sum(len(group.payload) for group in archive.groups)
    whole = len(file) + sum(group.missing for group in archive.groups)
    values = {
        "file": options.file,
        "coding": "archive",
        "bytes": len(file),
        "whole_bytes": whole,
        "header_bytes": header,
    }
    return values | {"groups": groups, "images": images}


def _images_in(values: dict[str, Any], chosen: Callable[[dict[str, Any]], bool]) -> tuple[int, str]:
    """How many images lie in the groups that are chosen, and their numbers, of the first such groups alone."""
    first, many, words = 0, 0, list[str]()
    for group in values["groups"]:
        last = first + group["images"] - 1
        if chosen(group):
            many += group["images"]
            words.append(f"{first}" if first == last else f"{first}-{last}")
        first = last + 1
    return many, ", ".join(words[:LINES] + ["..."] * (len(words) > LINES))


def _require_sound(values: dict[str, Any]) -> None:
    """What the model read is what was written; of what was cut off the table has told.

    Raises:
        DataError: it is not.
    """
    many, which = _images_in(values, lambda group: not group["missing"] and not group.get("exact", True))
    if many:
        raise DataError(f"damaged: {counted(many, 'image')} cannot be read: {which}: {values['file']!r}")


def _tell_checked(values: dict[str, Any]) -> None:
    """What of an archive was checked, and of one that was cut short what is left."""
    missing, _ = _images_in(values, lambda group: group["missing"] > 0)
    left, which = _images_in(values, lambda group: not group["missing"] and group.get("exact", True))
    lost = said("1 image is lost" if missing == 1 else f"{missing:,} images are lost")
    if missing and left:
        say(
            f"cut short, {values['bytes']:,} of {values['whole_bytes']:,} bytes: {lost}; --only takes the others: {which}"
        )
    elif missing:
        say(f"cut short, {values['bytes']:,} of {values['whole_bytes']:,} bytes: none of the images can be read")
    if not all("exact" in group for group in values["groups"]):
        say(
            "the table of contents and the lengths were checked; the images are checked when they are decoded, as with --run RUN"
        )
    elif left and all(group["exact"] or group["missing"] for group in values["groups"]):
        say("all images that are there are read back exactly")


def _tell_table(values: dict[str, Any]) -> None:
    say(f"{values['file']}: version {values['version']}, an archive, of the model {values['model']}")
    many = sum(group["images"] for group in values["groups"])
    images, groups = counted(many, "image"), counted(len(values["groups"]), "group")
    say(
        f"{images} in {groups}, {values['whole_bytes']:,} bytes, {values['header_bytes']} of them the table of contents"
    )
    for row, image in enumerate(values["images"][:LINES]):
        shape = said("of the model's own size") if image["shape"] is None else " x ".join(map(str, image["shape"]))
        show(f"  {row}: {image['label']}, {shape}")
    if len(values["images"]) > LINES:
        say(f"and {len(values['images']) - LINES:,} more images")
    _tell_checked(values)


def _read(options: Namespace, file: bytes) -> dict[str, Any]:
    """What the model reads in it."""
    from ddpm.cli.parts.opening import opened
    from ddpm.trained.coded import codec_to_read, shape_of, stages

    codec = codec_to_read(opened(options), [(repr(options.file), file)])
    found, ends = stages(codec, repr(options.file), file)
    return {
        "whole_bytes": codec.whole_length(file),
        "shape": list(shape_of(codec, file)),
        "exact": found.exact,
        "stages": [{"stage": stage.name, "bytes": stage.bytes, "rmse": stage.rmse} for stage in ends],
    }


def _tell(values: dict[str, Any]) -> None:
    shape, whole = values["shape"], values["whole_bytes"]
    say(f"{values['file']}: version {values['version']}, {values['coding']}, of the model {values['model']}")
    if shape:
        say(f"{' x '.join(map(str, shape))} (channels, height, width)")
    else:
        say("an image of the model's own size")
    if whole is None:
        say(f"{values['bytes']:,} bytes, {values['header_bytes']} of them the header; the pixels follow as they are")
    else:
        say(f"{values['bytes']:,} of {whole:,} bytes, {values['header_bytes']} of them the header")
    if "stages" not in values:
        return
    if not values["exact"]:
        say("the image itself is not known, so RMSE is the distance to what all the bytes that are there show:")
    pixels = shape[1] * shape[2]
    for stage in values["stages"]:
        rate = 8 * stage["bytes"] / pixels
        say(f"  from byte {stage['bytes']:,} ({rate:.3f} bits per pixel): {stage['stage']}, RMSE {stage['rmse']:.2f}")
    say("read back exactly" if values["exact"] else "an estimate: the file ends early")
