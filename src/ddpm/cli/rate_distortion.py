"""`ddpm rate-distortion`: the curve of section 4.3, as the bound accounts for it and as real files have it."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import natural
from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.files import JsonTarget, file_for
from ddpm.errors import UsageError

ABOUT = "measure the error of an image after so many bits or bytes"
EXAMPLES = """\
ddpm rate-distortion runs/mine --data photos --plot curve.png
ddpm rate-distortion runs/mine --data photos --num-images 100 --real-bytes \\
    --plot curve.png --filmstrip film.png --csv curve.csv
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm rate-distortion`."""
    what = parser.add_argument_group("what to measure")
    groups.run_folder(what)
    groups.data(what)
    groups.scored_images(what)
    what.add_argument(
        "--real-bytes",
        action="store_true",
        help="also code the images, cut their files, and put JPEG, WebP, PNG, and JPEG XL where Pillow has it, beside them",
    )
    how = parser.add_argument_group("how to measure it")
    groups.chain(how)
    how.add_argument("--seed", type=natural, default=0, metavar="S", help="random seed of the noise of the bound (0)")
    groups.variance(groups.reading(parser))
    where = parser.add_argument_group("where the numbers go")
    groups.json(where, "all numbers")
    groups.table_and_plot(where, "a line for each point of each curve", "a picture of the curves")
    where.add_argument(
        "--filmstrip",
        metavar="FILE.png",
        help="of --real-bytes: the first 4 images at 1, 3, 10, 30 and 100 %% of their bytes",
    )
    groups.running(parser, 64)


def run(options: Namespace) -> None:
    """Measure, and say it."""
    from ddpm.cli.parts.bounds import curve_in_lines, measure_bound, rows_of, say_real_bytes, sentence
    from ddpm.cli.parts.opening import images_asked, opened, read_to_score
    from ddpm.cli.terminal.console import note, track
    from ddpm.figures import plots, style
    from ddpm.storage.atomic import write_bytes, write_csv
    from ddpm.trained.coded import codec_to_write
    from ddpm.trained.evaluate import about, result
    from ddpm.trained.labels import in_words, told_when_scored
    from ddpm.trained.measures.real_bytes import filmstrip_of, measure

    plot, csv, json_target = file_for(options.plot, ".png"), file_for(options.csv, ".csv"), JsonTarget(options.json)
    film = file_for(options.filmstrip, ".png")
    if film and not options.real_bytes:
        raise UsageError(f"--filmstrip is of --real-bytes: {options.filmstrip}")
    whole = opened(options)
    codec = codec_to_write(whole, lambda line: note(f"ddpm: {line}")) if options.real_bytes else None
    trained = read_to_score(options, whole)
    asked = images_asked(options, trained)
    label, labels = told_when_scored(trained.experiment, asked.images, options.label)
    bound = measure_bound(trained, asked.images, options.seed, options.batch_size, labels)
    real = codec and measure(codec, asked.images, options.batch_size, lambda parts, n: track(parts, n, "compressing"))
    if plot:
        figure = real.figure(bound) if real else plots.rate_distortion(bound)
        write_bytes(plot, style.png(figure, options.language))
    if codec and film:
        write_bytes(film, style.png(filmstrip_of(codec, asked.images), options.language))
    if csv:
        write_csv(csv, rows_of(bound, real))
    values = about(trained, len(asked.images), label) | {"run": options.run, **asked.about}
    values |= result(bound, ["bpd", "rate-distortion"]) | ({"real_bytes": real.as_json()} if real else {})
    json_target.write(values)
    say(sentence(trained, bound, f"{asked.words}{in_words(label)}"))
    curve_in_lines(bound)
    if real:
        say_real_bytes(bound, real)
    if plot:
        say(f"plot: {plot}")
    if film:
        say(f"filmstrip: {film}")
    if csv:
        say(f"csv: {csv}")
    json_target.tell()
