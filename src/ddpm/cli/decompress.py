"""`ddpm decompress`: the images in files of a model."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import count, filled, natural
from ddpm.cli.terminal.console import say, show
from ddpm.cli.terminal.files import JsonTarget, new_files, write_new
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted
from ddpm.errors import DataError, UsageError

ABOUT = "give back the images in files of `ddpm compress`"
EXAMPLES = """\
ddpm decompress packed/*.ddpm --run runs/mine -o images
ddpm decompress a.ddpm --run runs/mine -o early.png --bytes 60
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm decompress`."""
    what = parser.add_argument_group("what to decompress")
    what.add_argument(
        "files", nargs="+", type=filled, metavar="FILE", help="files of ddpm compress, or beginnings of them"
    )
    what.add_argument(
        "--run",
        type=filled,
        required=True,
        metavar="RUN",
        help="run folder, checkpoint or ddpm:mnist, of the model that made them",
    )
    what.add_argument("--bytes", type=count, metavar="N", help="read the first N bytes of each file alone (all)")
    what.add_argument(
        "--sample",
        action="store_true",
        help="draw what the bytes leave open (the mean of all images\nthat they could be of)",
    )
    what.add_argument("--seed", type=natural, default=0, metavar="S", help="of what is drawn (0)")
    what.add_argument(
        "--only", nargs="+", type=count, metavar="I", help="of an archive the images of these numbers, from 0 (all)"
    )
    groups.reading(parser)
    where = parser.add_argument_group("where it goes")
    groups.output(where, "a folder, for pictures named after the files; or FILE.png, for one image")
    groups.json(where, "how far each file was read")
    groups.running(parser, 64)


def run(options: Namespace) -> None:
    """A picture of each file, and how far the file goes."""
    from ddpm.cli.parts.opening import opened
    from ddpm.cli.terminal.tiles import Tiles
    from ddpm.codec.archive import Archive
    from ddpm.data.decoding.exact import Meaning, png
    from ddpm.trained.agreeing import agreeing
    from ddpm.trained.archived import every_image, unpacked
    from ddpm.trained.coded import codec_to_read, head_of, named_in_errors, read_file
    from ddpm.trained.cutting import on_levels

    json_target = JsonTarget(options.json)
    files = [Path(name).expanduser() for name in options.files]
    images = [
        image
        for name, path in zip(options.files, files, strict=True)
        for image in _images(name, path, options.only, options.bytes)
    ]
    if not images:
        raise DataError("the archive holds no images")
    if options.only and not any(image.label is not None for image in images):
        raise UsageError("--only is for archives, and none of these files is one")
    paths = new_files(options.output, [image.name for image in images], ".png")
    trained = opened(options)
    codec = codec_to_read(
        trained, ((repr(name), head_of(path)) for name, path in zip(options.files, files, strict=True))
    )
    levels = trained.experiment.levels
    bar = Tiles(codec, len(paths), "decompressing")

    def begun(name: str, path: Path) -> tuple[str, bytes | Archive]:
        file = unpacked(repr(name), read_file(path), cut=options.only is not None)
        with named_in_errors(repr(name)):
            bar.begin_file(file, options.only)
        return repr(name), file

    read = map(begun, options.files, files)
    found = every_image(bar.codec, read, options.bytes, options.batch_size, options.only)
    if options.sample:
        found = (agreeing(trained, one, options.seed, row) for row, one in enumerate(found))
    rows: list[dict[str, Any]] = []
    for path, image, one in zip(paths, images, bar.track(found), strict=True):
        values = on_levels(one.pixels, levels)
        write_new(path, png(values, Meaning(levels, len(values)), {}))
        row = {"file": str(path), "exact": one.exact, "stage": one.stage, "coding": one.coding}
        if image.label is None:
            row["bytes"] = image.length if options.bytes is None else min(image.length, options.bytes)
        else:
            row["label"] = image.label
        rows.append(row)
    json_target.write({"files": rows, "run": options.run})
    for row in rows:
        if not row["exact"]:
            show(f"{row['file']}: {said(_estimate(row))}")
    exact = sum(row["exact"] for row in rows)
    say(f"{counted(len(rows), 'image')} in {options.output}: {exact:,} exact, {len(rows) - exact:,} estimated")
    json_target.tell()


class _Image(NamedTuple):
    """To be written: what its file will be called, how many bytes it is read from, and its label in an archive."""

    name: str
    length: int
    label: str | None = None


def _images(name: str, path: Path, only: Sequence[int] | None, first: int | None) -> list[_Image]:
    """Those of a file, one or many. What they will be called never comes from within it."""
    from ddpm.codec.archive import require
    from ddpm.trained.archived import is_archive, table_of, whole_only
    from ddpm.trained.coded import head_of, named_in_errors, read_file

    if not is_archive(head_of(path)):
        return [_Image(path.stem, path.stat().st_size)]
    archive = table_of(repr(name), read_file(path), cut=only is not None)
    whole_only(first)
    if only is not None:
        with named_in_errors(repr(name)):
            require(archive, only)
    entries = archive.entries
    numbers = range(len(entries)) if only is None else sorted(set(only))
    return [_Image(f"{path.stem}-{row:06d}", 0, entries[row].label or f"{row:06d}") for row in numbers]


def _estimate(row: dict[str, Any]) -> str:
    return f"an estimate, from the first {row['bytes']:,} bytes: as far as {row['stage']}"
