"""`ddpm evaluate`: bits/dim by the bound, other likelihoods or an estimate; distances of samples; whether samples are copies."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, natural, positive, tolerance
from ddpm.cli.terminal.console import say
from ddpm.cli.terminal.files import JsonTarget, file_for
from ddpm.errors import UsageError

if TYPE_CHECKING:
    from ddpm.trained.likelihoods import LikelihoodOptions

ABOUT = "measure bits/dim of a data set, or how far samples are from it"
EXAMPLES = """\
ddpm evaluate runs/mine --data photos --json bits.json
ddpm evaluate runs/mine --data photos --metrics fid,kid --num-samples 1000
ddpm evaluate runs/a runs/b --data photos --csv runs.csv --plot runs.png
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm evaluate`."""
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "run",
        type=filled,
        nargs="+",
        metavar="RUN",
        help="run folder, checkpoint or ddpm:mnist; several are compared (ddpm compare)",
    )
    groups.data(what)
    groups.scored_images(what)
    what.add_argument(
        "--metrics",
        default="bpd",
        metavar="A,B",
        help="bpd, rate-distortion, importance-weighted, flow (which stand beside bpd in one table); of samples: fid, fid-infinity, "
        "kid, is, precision-recall, density-coverage, sliced; memorised: whether samples copy training images, more than DATA does, "
        "which it was not trained on (bpd)",
    )
    how = parser.add_argument_group("how to measure it")
    how.add_argument(
        "--evaluations",
        type=positive,
        metavar="N",
        help="estimate bpd from N >= 2 of the T steps for each image, and a short pilot (all T, exactly)",
    )
    groups.chain(how)
    how.add_argument("--seed", type=natural, default=0, metavar="S", help="random seed of the noise (0)")
    how.add_argument("--draws", type=positive, metavar="K", help="of importance-weighted: chains for each image (16)")
    how.add_argument(
        "--trace",
        metavar="NAME",
        help="of flow: hutchinson, or exact, which costs an evaluation for each dimension (hutchinson)",
    )
    how.add_argument("--probes", type=positive, metavar="N", help="of hutchinson: for each image (1)")
    how.add_argument(
        "--tolerance",
        type=tolerance,
        metavar="X",
        help="of flow: error of a step, of x in [-1, 1] and in nats/dim (1e-4)",
    )
    samples = parser.add_argument_group("of metrics of samples")
    samples.add_argument(
        "--num-samples",
        type=positive,
        metavar="N",
        help="how many images are drawn (as many as they are compared with; memorised: 200)",
    )
    groups.sampler(samples)
    groups.features(samples)
    groups.reading_to_draw(parser)
    where = parser.add_argument_group("where the numbers go")
    groups.json(where, "all numbers")
    groups.table_and_plot(where, "a line for each method, or each run", "a picture of the bound by t")
    where.add_argument(
        "--pairs", metavar="FILE.png", help="of memorised: the closest samples above their training images"
    )
    groups.running(parser, 128)


def run(options: Namespace) -> None:
    """Measure, and say it."""
    from ddpm.cli.parts.comparing import compare_runs
    from ddpm.cli.parts.distances import of_samples
    from ddpm.cli.parts.estimate import estimate_bound
    from ddpm.cli.parts.likelihoods import ways_of
    from ddpm.cli.parts.memorised import check_flags
    from ddpm.trained.evaluate import chosen_metrics

    metrics = chosen_metrics(options.metrics)
    ways, of_images = ways_of(options, metrics), of_samples(options, metrics)
    check_flags(options, metrics)
    if len(options.run) > 1:
        if metrics != ["bpd"] or options.evaluations is not None:
            raise UsageError("several runs are compared by bpd over every t alone", "measure the rest run by run")
        if options.precision != "fp32":
            raise UsageError(
                f"several runs are compared in fp32 alone: {options.precision}", "measure the rest run by run"
            )
        compare_runs(Namespace(**{**vars(options), "num_samples": None, "html": None}))
        return
    (options.run,) = options.run
    if options.evaluations is not None:
        estimate_bound(options, metrics)
    else:
        _measure(options, metrics, ways, of_images)


def _measure(options: Namespace, metrics: list[str], ways: "LikelihoodOptions", of_images: list[str]) -> None:
    """All metrics of one run."""
    from ddpm.cli.parts.bounds import measure_bias, measure_bound, say_bias, say_bound
    from ddpm.cli.parts.distances import measure_samples, say_samples
    from ddpm.cli.parts.likelihoods import measure_likelihoods, table
    from ddpm.cli.parts.memorised import Copies
    from ddpm.cli.parts.opening import images_asked, model_to_score
    from ddpm.figures import plots, style
    from ddpm.storage.atomic import write_bytes, write_csv
    from ddpm.trained.evaluate import MEMORISED, METRICS, about, result, row
    from ddpm.trained.labels import in_words, told_when_scored
    from ddpm.trained.likelihoods import of_bound, results

    plot, csv, json_target = file_for(options.plot, ".png"), file_for(options.csv, ".csv"), JsonTarget(options.json)
    copies = Copies(options, MEMORISED in metrics)
    trained = model_to_score(options)
    asked = images_asked(options, trained)
    images = asked.images
    label, labels = None, None
    if any(name not in (MEMORISED, *of_images) for name in metrics):  # some are of the images themselves
        label, labels = told_when_scored(trained.experiment, images, options.label)
    what = f"{asked.words}{in_words(label)}"
    values = copies.measured(trained, asked)
    likelihoods = measure_likelihoods(trained, images, metrics, ways, labels)
    rows, bound, rounded = {ways.words(name): found for name, found in likelihoods.items()}, None, None
    values |= results(likelihoods, ways)
    if plot or set(metrics) & set(METRICS):
        bound = measure_bound(trained, images, options.seed, options.batch_size, labels)
        rows = {f"variational bound, T = {bound.T}": of_bound(bound), **rows}
        rounded = measure_bias(trained, images, options.seed, options.batch_size, labels)
        values = result(bound, metrics) | ({"bias": rounded.as_json()} if rounded else {}) | values
        if plot:
            write_bytes(plot, style.png(plots.bound_by_t(bound), options.language))
    distances = measure_samples(options, trained, images, of_images) if of_images else None
    if csv:
        write_csv(csv, [row(options.run, trained, name, found, bound) for name, found in rows.items()])
    values |= distances.as_json() if distances else {}
    json_target.write(about(trained, len(images), label) | {"run": options.run, **asked.about} | values)
    if bound:
        say_bound(trained, bound, metrics, what)
        say_bias(rounded)
    if plot:
        say(f"plot: {plot}")
    if likelihoods:
        table(rows, what)
    if distances:
        say_samples(distances, options, asked.words)
    copies.say(asked.words)
    if csv:
        say(f"csv: {csv}")
    json_target.tell()
