"""`ddpm evaluate --evaluations N`: the bound from a few evaluations of the network for each image."""

from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing

from ddpm.cli.parts.bounds import measure_bias, say_bias
from ddpm.cli.parts.opening import images_asked, model_to_score
from ddpm.cli.terminal.console import Bar, note, say
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.processes import processes
from ddpm.cli.terminal.words import counted
from ddpm.errors import UsageError
from ddpm.evaluation.cheap import bound_of, estimate, planned, watched
from ddpm.trained.evaluate import about, cheap_result, decoder_variance
from ddpm.trained.labels import in_words, told_when_scored


def estimate_bound(options: Namespace, metrics: Sequence[str]) -> None:
    """An estimate of the bound, and its two standard errors.

    Raises:
        UsageError: one evaluation, or something is asked for that needs every t.
    """
    if options.evaluations < 2:
        raise UsageError("an estimate and its error need at least 2 evaluations: --evaluations 1")
    if list(metrics) != ["bpd"] or options.plot or options.csv:
        raise UsageError("an estimate gives bpd alone", "without --evaluations every t is measured")
    json_target, trained = JsonTarget(options.json), model_to_score(options)
    asked = images_asked(options, trained)
    images = asked.images
    label, labels = told_when_scored(trained.experiment, images, options.label)
    if options.evaluations >= trained.process.schedule.T:
        note(f"ddpm: without --evaluations all T = {trained.process.schedule.T} are measured, at no more cost")
    target, device = bound_of(trained.process, labels), trained.device
    count, size = options.evaluations, options.batch_size
    with (
        processes(device) as world,
        closing(Bar(planned(len(images), count, size, device, world), "estimating")) as bar,
    ):
        found = estimate(watched(target, bar.advance), images, options.seed, count, size, device, world=world)
    rounded = measure_bias(trained, images, options.seed, size, labels)
    values = cheap_result(found) | ({"bias": rounded.as_json()} if rounded else {})
    json_target.write(values | about(trained, found.images, label) | {"run": options.run, **asked.about})
    T, process = trained.process.schedule.T, trained.experiment.process
    error = f"± {found.stderr:.4f}" if found.images > 1 else "(of one image: no standard error over images)"
    say(
        f"{found.total:.4f} {error} bits/dim on {asked.words}{in_words(label)}, an estimate\n"
        f"  ± {found.monte_carlo:.4f} of these images' own bound: t and noise are drawn, t near where the bits are\n"
        f"  {counted(found.evaluations, 'evaluation')} of the network, {found.evaluations / found.images:.2f} for each image "
        f"(the pilot included), where all T = {T} take {found.images * T:,}\n"
        f"  {trained.weights} weights of step {trained.step:,}, decoder's variance {decoder_variance(trained)}, "
        f"estimate of x_0 {process.limit}"
    )
    say_bias(rounded)
    json_target.tell()
