"""Several runs side by side: `ddpm compare`, and `ddpm evaluate` of more than one run."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ddpm.cli.parts.bounds import measure_bound, reading
from ddpm.cli.parts.drawn import draw_alike, say_drawn
from ddpm.cli.parts.opening import Asked, images_asked, opened, shortened
from ddpm.cli.terminal.console import note, say, show
from ddpm.cli.terminal.files import JsonTarget, file_for
from ddpm.cli.terminal.speech import in_language, said
from ddpm.errors import UsageError, quoted
from ddpm.evaluation.paired import Difference, Paired
from ddpm.evaluation.rate import Bound
from ddpm.figures import plots, style
from ddpm.report.compare_page import Made, Model, compare_page
from ddpm.report.text import right
from ddpm.storage.atomic import write_bytes, write_csv, write_text
from ddpm.trained.evaluate import about, require_fitting, result, row
from ddpm.trained.labels import NONE, OWN, told_when_scored
from ddpm.trained.likelihoods import of_bound
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.drawn import Drawn
from ddpm.version import VERSION


@dataclass(frozen=True, eq=False)
class SideBySide:
    """What was measured of several runs: bounds of the same images, and, where it was asked for, what each draws."""

    models: Sequence[LoadedModel]
    labels: Sequence[str | None]
    found: Paired
    drawn: Sequence[Drawn] | None
    asked: Asked

    @property
    def differences(self) -> list[Difference | None]:
        """Of each to the first."""
        return [None, *self.found.differences]

    def parameters(self) -> list[int]:
        """Numbers in each network."""
        return [model.experiment.size()[1] for model in self.models]


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
    page = file_for(options.html, ".html")
    both = _measured(options)
    json_target.write(_in_json(both))
    if table:
        write_csv(table, _rows(both))
    if plot:
        write_bytes(plot, style.png(plots.compared(both.found), options.language))
    if page:
        write_text(page, _page(both, options))
    for name, path in (("csv", table), ("plot", plot), ("html", page)):
        if path:
            say(f"{name}: {path}")
    json_target.tell()
    _say(both)


def _page(both: SideBySide, options: Namespace) -> str:
    """The page of all, in the language of the command."""

    def told(text: str) -> str:
        return in_language(text, options.language)

    models = [
        Model(name, size, told(reading(model)), told(verdict(one)) if one else "")
        for name, size, model, one in zip(
            both.found.names, both.parameters(), both.models, both.differences, strict=True
        )
    ]
    made = Made(VERSION, date.today().isoformat(), options.seed, " ".join(map(quoted, ["ddpm", *options.typed])))
    images = told(both.asked.words), told(both.asked.whole_words)
    return compare_page(both.found, models, both.drawn, images, made, options.language)


def _measured(options: Namespace) -> SideBySide:
    whole = [opened(Namespace(**{**vars(options), "run": run})) for run in options.run]
    models = [shortened(options, model, label=NONE if options.label == NONE else OWN) for model in whole]
    asked = images_asked(options, models[0])
    images = asked.images
    for model in models[1:]:
        require_fitting(model, images, str(model.folder.path))
    told = [told_when_scored(model.experiment, images, options.label) for model in models]
    bounds = [
        measure_bound(model, images, options.seed, options.batch_size, labels)
        for model, (_, labels) in zip(models, told, strict=True)
    ]
    found = Paired(tuple(options.run), tuple(bounds))
    drawn = draw_alike(options, whole, asked) if options.num_samples else None
    return SideBySide(models, [label for label, _ in told], found, drawn, asked)


def _in_json(both: SideBySide) -> dict[str, Any]:
    found, runs = both.found, []
    for place, (model, label, bound) in enumerate(zip(both.models, both.labels, found.bounds, strict=True)):
        values = {"run": found.names[place], **about(model, bound.images, label), **result(bound, ["bpd"])}
        values |= {"parameters": both.parameters()[place], "per_image": bound.per_image.tolist()}
        runs.append(values | ({"samples": both.drawn[place].as_json()} if both.drawn else {}))
    differences = [
        {
            "run": name,
            "less": found.names[0],
            "bits_per_dim": one.mean,
            "stderr": one.stderr if len(one.per_image) > 1 else None,
        }
        for name, one in zip(found.names[1:], found.differences, strict=True)
    ]
    return {**both.asked.about, "runs": runs, "same_noise": found.same_noise, "differences": differences}


def _rows(both: SideBySide) -> list[dict[str, object]]:
    """A line of the table for each run."""
    rows: list[dict[str, object]] = []
    for place, (name, bound) in enumerate(zip(both.found.names, both.found.bounds, strict=True)):
        words, one = f"variational bound, T = {bound.T}", both.differences[place]
        values = row(name, both.models[place], words, of_bound(bound), bound, one)
        rows.append(values | (both.drawn[place].as_row() if both.drawn else {}))
    return rows


def _say(both: SideBySide) -> None:
    found = both.found
    width = max(map(len, found.names))
    say(f"{both.asked.words}, in bits/dim; the differences are to {found.names[0]}, image by image")
    if not found.same_noise:
        note("ddpm: the chains have differently many steps: the images are the same, the noise is not")
    error = right(said("± stderr"), 10)
    heads = [right(said("parameters"), 12), f"{'bits/dim':>10}", error, right(said("difference"), 12), error]
    show(f"{'':{width}} {' '.join(heads)}")
    for name, size, bound, one in zip(found.names, both.parameters(), found.bounds, both.differences, strict=True):
        show(f"{name:{width}} {size:>12,} {_numbers(bound)}{_compared(one) if one else ''}")
    for name, model in zip(found.names, both.models, strict=True):
        say(f"{name}: {reading(model)}")
    if both.drawn:
        say_drawn(found.names, both.drawn, both.asked.whole_words)


def _numbers(bound: Bound) -> str:
    error = f"{bound.stderr:10.4f}" if bound.images > 1 else f"{'-':>10}"
    return f"{bound.total:>10.4f} {error}"


def _compared(one: Difference) -> str:
    error = f"{one.stderr:>10.4f}" if len(one.per_image) > 1 else f"{'-':>10}"
    return f" {one.mean:>+12.4f} {error}   {said(verdict(one))}"


def verdict(one: Difference) -> str:
    """The difference in words: below two standard errors it says nothing. Of one image there is no such error."""
    if len(one.per_image) == 1:
        return "of one image: no standard error"
    if one.in_errors is None:
        return "the same in every image" if one.mean else "no difference in any image"
    word = "no difference seen" if abs(one.in_errors) < 2 else "better" if one.mean < 0 else "worse"
    return f"{word}, {abs(one.in_errors):.1f} standard errors"
