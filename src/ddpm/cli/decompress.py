"""`ddpm decompress`: the images in files of a model."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import count, filled
from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.files import JsonTarget, new_files
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted

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
        "--run", type=filled, required=True, metavar="RUN", help="run folder or checkpoint, of the model that made them"
    )
    what.add_argument("--bytes", type=count, metavar="N", help="read the first N bytes of each file alone (all)")
    groups.reading(parser)
    where = parser.add_argument_group("where it goes")
    groups.output(where, "a folder, for pictures named after the files; or FILE.png, for one file")
    groups.json(where, "how far each file was read")
    groups.running(parser, 64)


def run(options: Namespace) -> None:
    """A picture of each file, and how far the file goes."""
    from ddpm.cli.parts.opening import opened
    from ddpm.data.decoding.exact import Meaning, png
    from ddpm.storage.atomic import write_bytes
    from ddpm.trained.coded import codec_to_read, decoded, on_levels, read_file

    json_target = JsonTarget(options.json)
    paths = new_files(options.output, [Path(name).stem for name in options.files], ".png")
    trained = opened(options)
    codec, levels, lengths = codec_to_read(trained), trained.experiment.levels, list[int]()

    def files() -> Iterator[tuple[str, bytes]]:
        for name in options.files:
            file = read_file(Path(name).expanduser())
            lengths.append(len(file))
            yield repr(name), file

    found = (one for batch in decoded(codec, files(), options.bytes, options.batch_size) for one in batch)
    rows: list[dict[str, Any]] = []
    for path, one in zip(paths, track(found, len(paths), "decompressing"), strict=True):
        values = on_levels(one.pixels, levels)
        write_bytes(path, png(values, Meaning(levels, len(values)), {}))
        length = lengths[len(rows)]
        read = length if options.bytes is None else min(length, options.bytes)
        rows.append({"file": str(path), "exact": one.exact, "bytes": read, "stage": one.stage, "coding": one.coding})
    json_target.write({"files": rows, "run": options.run})
    for row in rows:
        if not row["exact"]:
            show(f"{row['file']}: {said(_estimate(row))}")
    exact = sum(row["exact"] for row in rows)
    say(f"{counted(len(rows), 'image')} in {options.output}: {exact:,} exact, {len(rows) - exact:,} estimated")
    json_target.tell()


def _estimate(row: dict[str, Any]) -> str:
    return f"an estimate, from the first {row['bytes']:,} bytes: as far as {row['stage']}"
