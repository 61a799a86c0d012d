"""`ddpm compress`: images as files of a model."""

from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, number, positive
from ddpm.cli.terminal.console import note, say, show
from ddpm.cli.terminal.files import JsonTarget, new_files, write_new
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted
from ddpm.errors import UsageError

if TYPE_CHECKING:
    from ddpm.codec.tables import Whole
    from ddpm.trained.coded import Coded, Given
    from ddpm.trained.cutting import Cut
    from ddpm.trained.loaded import LoadedModel

ABOUT = "make images into small files that the model reads back exactly"
EXAMPLES = """\
ddpm compress runs/mine a.png b.png -o packed
ddpm compress runs/mine a.png -o a.ddpm --rmse 10
ddpm compress runs/mine digits -o digits.ddpm --num-images 100
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
        "--smallest",
        action="store_true",
        help="all of it, coded in the smaller of two ways: where that is by a chain,\na beginning of the file shows nothing",
    )
    one.add_argument(
        "--bits-per-pixel", type=number, metavar="X", help="at most X bits for a pixel, the header among them"
    )
    one.add_argument(
        "--rmse", type=number, metavar="X", help="as few bytes as leave an error of at most X, on the scale 0..255"
    )
    groups.reading(parser)
    where = parser.add_argument_group("where it goes")
    groups.output(
        where,
        "a folder, for files named after the pictures; or FILE.ddpm, for one image\n"
        "or an archive of many, which is smaller and is read whole",
    )
    groups.json(where, "the same of every image")
    groups.running(parser, 64)


def run(options: Namespace) -> None:
    """A file of each image, or one of all; none is written that was not read back."""
    from itertools import islice

    from ddpm.cli.parts.opening import opened, told
    from ddpm.trained.coded import ENDING, images_to_code
    from ddpm.trained.cutting import asked_cut

    json_target = JsonTarget(options.json)
    cut = asked_cut(options.bits_per_pixel, options.rmse, smallest=options.smallest)
    trained = opened(options)

    def tell(line: str) -> None:
        told([line])

    every = (one for name in options.files for one in images_to_code(trained, name, options.split, tell))
    given = list(islice(every, options.num_images))
    output = Path(options.output).expanduser()
    if len(given) > 1 and output.suffix.lower() == ENDING and not output.is_dir():
        _in_one(options, trained, given, json_target)
    else:
        _one_by_one(options, trained, given, cut, json_target)


def _note(line: str) -> None:
    note(f"ddpm: {line}")


def _in_one(options: Namespace, trained: "LoadedModel", given: "list[Given]", json_target: JsonTarget) -> None:
    """An archive."""
    from ddpm.cli.terminal.tiles import Tiles
    from ddpm.codec.archive import Group
    from ddpm.codec.container import ARCHIVE, pixel_bytes
    from ddpm.figures.pictures import png_size
    from ddpm.trained.archived import archive_entries, packed
    from ddpm.trained.coded import ENDING, codec_to_write
    from ddpm.trained.cutting import pixels_of

    if options.bits_per_pixel is not None or options.rmse is not None:
        raise UsageError("an archive holds whole images: give a folder as --output for parts of them")
    (path,) = new_files(options.output, [Path(options.output).stem], ENDING)
    codec, levels = codec_to_write(trained, _note, chain=True, given=given), trained.experiment.levels
    total: dict[str, Any] = {"bytes": 0, "pixels": 0, "raw_bytes": 0, "png_bytes": 0}

    bar = Tiles(codec, len(given), "compressing")

    def seen(image: "Whole") -> None:
        bar.begin(image.shape, codec.calls(ARCHIVE))
        total["pixels"] += pixels_of(image.shape)
        total["raw_bytes"] += len(pixel_bytes(image, levels))
        total["png_bytes"] += png_size(image, levels)

    groups = list[Group]()
    for _ in bar.track(archive_entries(bar.codec, given, groups, seen)):
        pass
    file = packed(codec, groups)
    write_new(path, file)
    total |= {"bytes": len(file), "images": len(given), "bits_per_pixel": 8 * len(file) / total["pixels"]}
    json_target.write({"archive": str(path), "total": total, "run": options.run, "model": codec.named(ARCHIVE).hex()})
    _say_total(total)
    json_target.tell()


def _one_by_one(
    options: Namespace, trained: "LoadedModel", given: "list[Given]", cut: "Cut", json_target: JsonTarget
) -> None:
    """A file of each image."""
    from ddpm.cli.terminal.tiles import Tiles
    from ddpm.codec.container import CHAIN, PROGRESSIVE
    from ddpm.trained.coded import ENDING, Given, codec_to_write, coded, named_in_errors

    paths = new_files(options.output, [one.name for one in given], ENDING)
    codec = codec_to_write(trained, _note, chain=options.smallest, given=given)
    bar, calls = Tiles(codec, len(given), "compressing"), codec.calls(PROGRESSIVE)
    if options.smallest:
        calls += codec.calls(CHAIN)

    def begun(one: "Given") -> "Whole":
        image = one.read()
        with named_in_errors(one.name):
            bar.begin(image.shape, calls)
        return image

    watched = [Given(one.name, partial(begun, one)) for one in given]
    made = (one for batch in coded(bar.codec, watched, cut, options.batch_size) for one in batch)
    rows: list[dict[str, Any]] = []
    for path, one in zip(paths, bar.track(made), strict=True):
        write_new(path, one.file)
        rows.append(_row(str(path), one, trained.experiment.levels))
    total = {key: sum(row[key] for row in rows) for key in ("bytes", "pixels", "raw_bytes", "png_bytes")}
    total |= {"images": len(rows), "bits_per_pixel": 8 * total["bytes"] / total["pixels"]}
    json_target.write({"files": rows, "total": total, "run": options.run})
    for row in rows[:LINES]:
        _say_row(row)
    if len(rows) > LINES:
        say(f"and {len(rows) - LINES:,} more images")
    _say_total(total)
    json_target.tell()


def _say_total(total: dict[str, Any]) -> None:
    say(
        f"{counted(total['images'], 'image')}: {total['bytes']:,} bytes, {total['bits_per_pixel']:.3f} bits per pixel "
        f"({total['raw_bytes']:,} of pixels, {total['png_bytes']:,} as PNG)"
    )


def _row(path: str, one: "Coded", levels: int) -> dict[str, Any]:
    """What is known of an image's file."""
    from ddpm.codec.container import pixel_bytes
    from ddpm.figures.pictures import png_size
    from ddpm.trained.cutting import pixels_of

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
