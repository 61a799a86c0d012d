"""`ddpm compress`: images as files of a model."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, number, positive
from ddpm.cli.terminal.console import note, say, show, track
from ddpm.cli.terminal.files import JsonTarget, new_files
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted

if TYPE_CHECKING:
    from ddpm.trained.coded import Coded

ABOUT = "make images into small files that the model reads back exactly"
EXAMPLES = """\
ddpm compress runs/mine a.png b.png -o packed
ddpm compress runs/mine a.png -o a.ddpm --rmse 10
ddpm compress runs/mine digits -o packed --num-images 20 --bits-per-pixel 0.5
"""
LINES = 20
"""Of so many images each has a line."""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm compress`."""
    what = parser.add_argument_group("what to compress")
    groups.run_folder(what)
    what.add_argument(
        "files", nargs="+", type=filled, metavar="FILE", help="pictures, of any size; or a SOURCE of images"
    )
    what.add_argument(
        "--split", default="all", metavar="NAME", help="part of a SOURCE: test, train, validation or all (all)"
    )
    what.add_argument("--num-images", type=positive, metavar="N", help="the first N images (all)")
    part = parser.add_argument_group("how much of each file is kept (all)")
    one = part.add_mutually_exclusive_group()
    one.add_argument(
        "--bits-per-pixel", type=number, metavar="X", help="at most X bits for a pixel, the header among them"
    )
    one.add_argument(
        "--rmse", type=number, metavar="X", help="as few bytes as leave an error of at most X, on the scale 0..255"
    )
    groups.reading(parser)
    where = parser.add_argument_group("where it goes")
    groups.output(where, "a folder, for files named after the pictures; or FILE.ddpm, for one image")
    groups.json(where, "the same of every image")
    groups.running(parser, 64)


def run(options: Namespace) -> None:
    """A file of each image; none is written that was not read back."""
    from itertools import islice
    from pathlib import Path

    from ddpm.cli.parts.opening import opened, told
    from ddpm.storage.atomic import write_bytes
    from ddpm.trained.coded import ENDING, asked_cut, codec_to_write, coded, images_to_code

    json_target, cut = JsonTarget(options.json), asked_cut(options.bits_per_pixel, options.rmse)
    trained = opened(options)

    def tell(line: str) -> None:
        told([line])

    every = (one for name in options.files for one in images_to_code(trained, name, options.split, tell))
    given = list(islice(every, options.num_images))
    paths = new_files(options.output, [one.name for one in given], ENDING)
    codec = codec_to_write(trained, lambda line: note(f"ddpm: {line}"))
    made = (one for batch in coded(codec, given, cut, options.batch_size) for one in batch)
    rows: list[dict[str, Any]] = []
    for path, one in zip(paths, track(made, len(paths), "compressing"), strict=True):
        write_bytes(Path(path), one.file)
        rows.append(_row(str(path), one, trained.experiment.levels))
    total = {key: sum(row[key] for row in rows) for key in ("bytes", "pixels", "raw_bytes", "png_bytes")}
    total |= {"images": len(rows), "bits_per_pixel": 8 * total["bytes"] / total["pixels"]}
    json_target.write({"files": rows, "total": total, "run": options.run, "model": codec.name[:4].hex()})
    for row in rows[:LINES]:
        _say_row(row)
    if len(rows) > LINES:
        say(f"and {len(rows) - LINES:,} more images")
    say(
        f"{counted(len(rows), 'image')}: {total['bytes']:,} bytes, {total['bits_per_pixel']:.3f} bits per pixel "
        f"({total['raw_bytes']:,} of pixels, {total['png_bytes']:,} as PNG)"
    )
    json_target.tell()


def _row(path: str, one: "Coded", levels: int) -> dict[str, Any]:
    """What is known of an image's file."""
    from ddpm.codec.container import pixel_bytes
    from ddpm.figures.pictures import png_size
    from ddpm.trained.coded import pixels_of

    return {
        "file": path,
        "bytes": len(one.file),
        "bits_per_pixel": one.bits_per_pixel,
        "exact": one.whole,
        "rmse": one.rmse,
        "pixels": pixels_of(one.image.shape),
        "raw_bytes": len(pixel_bytes(one.image, levels)),
        "png_bytes": png_size(one.image, levels),
    }


def _say_row(row: dict[str, Any]) -> None:
    how = said("exact" if row["exact"] else f"RMSE {row['rmse']:.2f}")
    sizes = said(f"{row['bytes']:,} bytes, {row['bits_per_pixel']:.3f} bits per pixel")
    beside = said(f"({row['raw_bytes']:,} of pixels, {row['png_bytes']:,} as PNG)")
    show(f"{row['file']}: {sizes}, {how} {beside}")
