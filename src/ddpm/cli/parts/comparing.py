"""Several runs on the same images with the same noise: `ddpm compare`, and `ddpm evaluate` of more than one run."""

from argparse import Namespace

from ddpm.cli.parts.bounds import measure_bound
from ddpm.cli.parts.opening import images_asked, scored
from ddpm.cli.terminal.console import note, say, show
from ddpm.cli.terminal.files import JsonTarget, file_for
from ddpm.cli.terminal.speech import said
from ddpm.errors import UsageError, quoted
from ddpm.evaluation.paired import Comparison, Difference
from ddpm.evaluation.rate import Bound
from ddpm.figures import plots, style
from ddpm.report.text import right
from ddpm.storage.atomic import write_bytes, write_csv
from ddpm.trained.evaluate import about, require_fitting, result, row
from ddpm.trained.labels import told_when_scored
from ddpm.trained.likelihoods import of_bound
from ddpm.trained.loaded import LoadedModel


def compare_runs(options: Namespace) -> None:
    """Measure all, write what was asked for, and say it.

    Raises:
        UsageError: there is but one run.
        Mismatch: the runs are not of the same images.
    """
    if len(options.run) < 2:
        raise UsageError(
            f"one run cannot be compared: {options.run[0]!r}",
            f"ddpm evaluate {quoted(options.run[0])} --data {quoted(options.data)} measures it",
        )
    plot, table, json_target = file_for(options.plot, ".png"), file_for(options.csv, ".csv"), JsonTarget(options.json)
    models = [scored(Namespace(**{**vars(options), "run": run})) for run in options.run]
    asked = images_asked(options, models[0])
    images = asked.images
    for model in models[1:]:
        require_fitting(model, images, str(model.folder.path))
    told = [told_when_scored(model.experiment, images, options.label) for model in models]
    bounds = [
        measure_bound(model, images, options.seed, options.batch_size, labels)
        for model, (_, labels) in zip(models, told, strict=True)
    ]
    found = Comparison(tuple(options.run), tuple(bounds))
    runs = [
        {
            "run": name,
            **about(model, len(images), label),
            **result(bound, ["bpd"]),
            "per_image": bound.per_image.tolist(),
        }
        for name, model, (label, _), bound in zip(options.run, models, told, bounds, strict=True)
    ]
    json_target.write({**asked.about, "runs": runs, "same_noise": found.same_noise, "differences": _in_json(found)})
    if table:
        write_csv(table, _rows(found, models))
    if plot:
        write_bytes(plot, style.png(plots.compared(found), options.language))
    for name, path in (("csv", table), ("plot", plot)):
        if path:
            say(f"{name}: {path}")
    json_target.tell()
    _say(found, asked.words)


def _in_json(found: Comparison) -> list[dict[str, object]]:
    return [
        {
            "run": name,
            "less": found.names[0],
            "bits_per_dim": one.mean,
            "stderr": one.stderr if len(one.per_image) > 1 else None,
        }
        for name, one in zip(found.names[1:], found.differences, strict=True)
    ]


def _rows(found: Comparison, models: list[LoadedModel]) -> list[dict[str, object]]:
    """A line of the table for each run."""
    differences: list[Difference | None] = [None, *found.differences]
    return [
        row(name, model, f"variational bound, T = {bound.T}", of_bound(bound), bound, one)
        for name, model, bound, one in zip(found.names, models, found.bounds, differences, strict=True)
    ]


def _say(found: Comparison, what: str) -> None:
    width = max(map(len, found.names))
    say(f"{what}, in bits/dim; the differences are to {found.names[0]}, image by image")
    if not found.same_noise:
        note("ddpm: the chains have differently many steps: the images are the same, the noise is not")
    error = right(said("± stderr"), 10)
    show(f"{'':{width}} {'bits/dim':>10} {error} {right(said('difference'), 12)} {error}")
    differences: list[Difference | None] = [None, *found.differences]
    for name, bound, one in zip(found.names, found.bounds, differences, strict=True):
        show(f"{name:{width}} {_numbers(bound)}{_compared(one) if one else ''}")


def _numbers(bound: Bound) -> str:
    error = f"{bound.stderr:10.4f}" if bound.images > 1 else f"{'-':>10}"
    return f"{bound.total:>10.4f} {error}"


def _compared(one: Difference) -> str:
    """The difference in words: below two standard errors it says nothing. Of one image there is no such error."""
    if len(one.per_image) == 1:
        return f" {one.mean:>+12.4f} {'-':>10}   {said('of one image: no standard error')}"
    if one.in_errors is None:
        what = "the same in every image" if one.mean else "no difference in any image"
        return f" {one.mean:>+12.4f} {one.stderr:>10.4f}   {said(what)}"
    verdict = "no difference seen" if abs(one.in_errors) < 2 else "better" if one.mean < 0 else "worse"
    return f" {one.mean:>+12.4f} {one.stderr:>10.4f}   {said(f'{verdict}, {abs(one.in_errors):.1f} standard errors')}"
