"""The tables of the results page, from benchmarks/results/*.json: no number on the page is typed by hand twice."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.paper_map import ROOT
from docs.tables import table

FOLDER = ROOT / "benchmarks" / "results"
Rows = tuple[Sequence[str], Sequence[Sequence[str]]]


def result(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def write_results(folder: Path) -> None:
    """A file for each table, to be included."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (source, make) in TABLES.items():
        text = table(*make()) + about(source)
        (folder / f"{name}.inc").write_text(text, encoding="utf-8")


def about(name: str) -> str:
    """How the numbers were made."""
    how = result(name)["about"]
    versions = ", ".join(f"{package} {version}" for package, version in how["versions"].items())
    lead = f"``{how['command']}``, commit ``{how['commit']}``, {how['processor']} ({how['capability']}), "
    threads = f"{how['threads']} thread{'s' if how['threads'] > 1 else ''}"
    return f".. rst-class:: source\n\n{lead}{threads}; {versions}. All numbers: ``benchmarks/results/{name}.json``.\n\n"


def _bound(value: Mapping[str, float], digits: int = 3) -> str:
    return f"{value['bits_per_dim']:.{digits}f} ± {value['stderr']:.{digits}f}"


PEERS = ("diffusers", "improved-diffusion", "denoising-diffusion-pytorch")


def beside_peers(what: str) -> Rows:
    """Milliseconds of a step by everyone, and the ratio of ours to theirs in the same precision."""
    rows = []
    for case, found in result("beside_peers")["cases"].items():
        times, ratios = found[what]["milliseconds"], found[what]["ours / theirs"]
        batch = found["batches"][0 if what == "training" else 1]
        for precision in ("bf16", "fp32"):
            row = [f"{case}, batch {batch}, {precision}", f"{times[f'ddpm {precision}']:.0f} ms"]
            for peer in PEERS:
                time = times.get(f"{peer} {precision}")
                row.append("" if time is None else f"{time:.0f} ms ({ratios[f'{precision}, {peer}']:.2f})")
            rows.append(row)
        mixed = [ratios.get(f"bf16 / fp32, {peer}") for peer in PEERS]
        rows.append(["ours in bf16, theirs in fp32", "", *("" if one is None else f"({one:.2f})" for one in mixed)])
    return ("one step (ours / theirs)", "ddpm", *PEERS), rows


def step_memory() -> Rows:
    """Peak memory of a process that takes two steps."""
    rows = []
    for case, found in result("beside_peers")["cases"].items():
        peaks = found["peak memory of a training step, MiB"]
        for precision in [one for one in ("bf16", "fp32") if f"ddpm {one}" in peaks]:
            shown = [peaks.get(f"{who} {precision}") for who in ("ddpm", *PEERS, "ddpm, gradient checkpointing")]
            batch = found["batch of the memory"]
            rows.append([f"{case}, {precision}, batch {batch}", *(f"{one} MiB" if one else "" for one in shown)])
    return ("peak memory", "ddpm", *PEERS, "ddpm, gradient checkpointing"), rows


def mnist(name: str = "mnist") -> Rows:
    """Twenty minutes of training each."""
    ours, theirs = (result(name)[who] for who in ("ours", "diffusers"))
    rows = [["bits/dim", _bound(ours), _bound(theirs)]]
    if "frechet" in ours:
        digits = f"Fréchet distance of {result(name)['digits']:,} digits by 50 steps of DDIM"
        rows.append([digits, f"{ours['frechet']:.1f}", f"{theirs['frechet']:.1f}"])
    rows += [
        [key.replace("_", " ") if key.islower() else f"``{key}``", _number(ours[key]), _number(theirs[key])]
        for key in ("L_T", "L_1 to L_T-1", "L_0", "steps", "parameters", "training_seconds")
    ]
    return ("", "ddpm, preset mnist", "diffusers"), rows


def mnist_in_four_minutes() -> Rows:
    """Four minutes of ours beside twenty of theirs."""
    return mnist("mnist_in_four_minutes")


def shipped_mnist() -> Rows:
    """The model that comes with the package."""
    found = result("shipped_mnist")
    rows = [
        ["parameters", f"{found['parameters']:,}"],
        [
            "training",
            f"{found['step']:,} steps of {found['batch_size']} images, {found['training_seconds'] / 60:.0f} minutes on one core",
        ],
        [f"bits/dim of {found['test_images']} test images, T = {found['T']}", _bound(found["half"])],
        ["the same before rounding to half precision", _bound(found["float32"])],
    ]
    return ("``ddpm:mnist``", ""), rows


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.2g}" if value < 0.01 else f"{value:.2f}"


def precision() -> Rows:
    """A step in bf16 and in fp32."""
    found = result("precision")
    rows = [
        [name, f"{row['ms']['fp32']:.0f} ms", f"{row['ms']['bf16']:.0f} ms", f"{row['bf16 / fp32']:.2f}"]
        for name, row in found["step"].items()
    ]
    how = "native" if found["native"] else "imitated"
    return ("one evaluation of the network", "fp32", f"bf16 ({how})", "bf16 / fp32"), rows


def sampler_overhead() -> Rows:
    """A sampler's step without the network."""
    found = result("sampler_overhead")["microseconds_per_step"]
    rows = [
        [
            f"``{name.split(' / ')[0]}``, {name.split(' / ')[1]}",
            f"{row['ours_us']:.0f} µs",
            f"{row['theirs_us']:.0f} µs",
            f"{row['ratio']:.2f}",
        ]
        for name, row in found.items()
    ]
    return ("a step", "ddpm", "diffusers", "times less"), rows


def short_chains() -> Rows:
    """The bound of chains of K steps."""
    found = result("short_chains")["bits_per_dim_and_error"]
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    rows = [
        [steps, *(f"{row[name][0]:.2f} ± {row[name][1]:.2f}" if name in row else "" for name in names)]
        for steps, row in found.items()
    ]
    return ("K", *names), rows


def frechet(name: str) -> Rows:
    """Frechet distances: every sampler that was run at every number of evaluations."""
    found = result(name)["frechet"]
    budgets = list(found)
    names = [name for name in found[budgets[-1]] if all(name in found[budget] for budget in budgets)]
    names.sort(key=lambda name: (name.startswith("diffusers"), found[budgets[-1]][name]))
    best = {budget: min(found[budget].values()) for budget in budgets}
    rows = []
    for sampler in names:
        values = [found[budget][sampler] for budget in budgets]
        cells = [f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in values]
        marked = [
            f"**{cell}**" if found[b][sampler] == best[b] else cell for b, cell in zip(budgets, cells, strict=True)
        ]
        rows.append([sampler, *marked])
    return ("evaluations", *budgets), rows


def digits() -> Rows:
    """How the digits' settings were chosen."""
    found = result("digits")["variants"]
    rows = [[name, _bound(row), f"{row['L_0']:.2f}", f"{row['steps']:,}"] for name, row in found.items()]
    return ("variant, 90 s of training each", "bits/dim", "L_0", "steps"), rows


def learned_mixture() -> Rows:
    """What a learned schedule gains where all is known."""
    found = result("learned_schedule")["mixture_excess_nats"]
    names = list(next(iter(found.values())))
    return ("T", *names), [[steps, *(f"{row[name]:.3f}" for name in names)] for steps, row in found.items()]


def learned_digits() -> Rows:
    """The same on the digits."""
    found = {name: row for name, row in result("learned_schedule")["digits"].items() if "bits_per_dim" in row}
    return ("digits, 1,000 steps, T = 250", "bits/dim", "L_0"), [
        [n, _bound(r), f"{r['L_0']:.2f}"] for n, r in found.items()
    ]


def likelihoods() -> Rows:
    """Three likelihoods of one model."""
    found = result("likelihoods")["methods"]
    rows = [
        [name, _bound(row), f"{row['evaluations_per_image']:.0f}", f"{row['seconds']:.0f} s"]
        for name, row in found.items()
    ]
    return ("method", "bits/dim", "evaluations of the network for an image", "time"), rows


def cheap_bound() -> Rows:
    """How much the cheap estimate of the bound saves."""
    rows = []
    for model, found in result("cheap_bound").items():
        for name, row in found.items() if model != "about" else ():
            saved = row.get("plain evaluations for one") if isinstance(row, dict) else None
            if saved:
                rows.append([model, name, f"{row['mean']:.3f}", f"{row['standard_deviation']:.3f}", f"{saved:,.0f}"])
    header = (
        "schedule and variance",
        "estimate: t for each image, noise",
        "mean",
        "its scatter",
        "evaluations with a uniform t that do as much as one",
    )
    return header, rows


def checkpoint_cost() -> Rows:
    """What a checkpoint of 572 MB costs."""
    found = result("checkpoint_cost")
    rows = []
    for group, what in (("at_once_seconds", "written at once"), ("asynchronous_seconds", "written by a thread")):
        for name, row in found[group].items():
            if isinstance(row, dict):
                rows.append([what, name, f"{row['median']:.2f} s", f"{row['percent_of_10_minutes']:.2f} %"])
    return ("", "what takes time", "median", "of ten minutes"), rows


def exact_training() -> Rows:
    """What random numbers with names cost."""
    found = result("exact_training")
    rows = [
        [name, f"{row['by name']:.3f} s", f"{row['carried along']:.3f} s", f"{row['ratio']:.3f}"]
        for name, row in found.items()
        if "ratio" in row
    ]
    return ("processor time of one thread", "by name", "carried along", "ratio"), rows


def data_loading() -> Rows:
    """Images read while training."""
    found = result("data_loading")["steps_per_second"]
    rows = [[name, f"{row['alone']:.1f}", f"{row['beside_20_ms']:.1f}"] for name, row in found.items()]
    return ("images are in / are read by", "batches a second, alone", "beside a step of 20 ms"), rows


def large_images() -> Rows:
    """Large JPEGs that are trained on small."""
    found = result("large_images")
    peer = f"{found['lucidrains_milliseconds_per_image']:.1f}"
    parts = {"index and first epoch": peer, "second epoch": peer, "first epoch of another start": peer}
    ours = found["milliseconds_per_image"]
    rows = [[part, *(f"{times[part]:.2f}" for times in ours.values()), other] for part, other in parts.items()]
    total = "two epochs with the index / lucidrains"
    rows.append([total, *(f"{times[total]:.2f}" for times in ours.values()), ""])
    return ("ms of processor time for an image", *ours, "lucidrains' data set"), rows


def agreement() -> Rows:
    """Differences to diffusers' samplers."""
    found = result("agreement")["largest_relative_difference"]
    names = list(found)
    return ("the same sampler in both", *names), [
        [sampler, *(f"{found[name][sampler]:.1e}" for name in names)] for sampler in found[names[0]]
    ]


def metrics_agreement() -> Rows:
    """Our metrics of images beside others', on the same features: the largest difference of any of theirs to ours."""
    found = result("metrics_agreement")["sets"]
    names = {"fid": "Frechet", "kid": "KID", "is": "inception score", "precision": "precision", "recall": "recall"}
    rows = []
    for one in found:
        cells = []
        for name in names:
            ours, others = (
                one["ours"][name],
                [one[who][name] for who in ("torch-fidelity", "torchmetrics") if name in one[who]],
            )
            cells.append(f"{max(abs(other / ours - 1) for other in others):.0e}")
        count, D = " and ".join(f"{images:,}" for images in one["images"]), one["D"]
        rows.append([f"{one['features']}, D = {D}, {count} images", *cells])
    return ("features", *names.values()), rows


def memorisation() -> Rows:
    """Two nets, and what the report says of each."""
    found = {
        name: value for name, value in result("memorisation").items() if isinstance(value, dict) and "share" in value
    }
    rows = [
        [
            name,
            f"{value['suspected']} of {value['samples']} ({value['expected']:.1f} by chance)",
            f"{value['share']:.1%} ({value['interval'][0]:.1%} to {value['interval'][1]:.1%})",
            f"{value['p_value']:.2g}",
        ]
        for name, value in found.items()
    ]
    return ("trained on", "samples that are suspected", "share (95 % interval)", "p"), rows


def codec_lossless(name: str = "codec") -> Rows:
    """Exact files of ours and of others: each image by itself, and all together."""
    found = result(name)
    single, archive, bound = found["lossless"]["bits_per_dim"], found["archive_bits_per_dim"], found["bound"]
    together = {name: f"{one['bits_per_dim']:.3f} ({one['shape']})" for name, one in found["sheets"].items()}
    together["ddpm"] = "" if archive is None else f"{archive:.3f} (archive)"
    rows = [[name, f"{value:.3f}", together.get(name, "")] for name, value in single.items()]
    images = f"the model's bound, T = {bound['T']}, {bound['images']} images"
    rows.append([images, _bound(bound), f"files: {bound['times_the_bound']:.3f} times it"])
    sheets = f"all of the first {found['archive_images']:,} in one sheet"
    return ("bits/dim, headers included", f"single files, {found['images']}", sheets), rows


def codec_archive() -> Rows:
    """One archive of many images beside one sheet of them."""
    found = result("codec_archive")
    rows = [["ddpm, one archive", f"{found['bytes']:,}", f"{found['bits_per_dim']:.3f}"]]
    sheets = sorted(found["sheets"].items(), key=lambda pair: pair[1]["bytes"])
    rows += [
        [f"{name}, one sheet ({one['shape']})", f"{one['bytes']:,}", f"{one['bits_per_dim']:.3f}"]
        for name, one in sheets
    ]
    return (f"the first {found['images']:,} images", "bytes", "bits/dim"), rows


def codec_elsewhere() -> Rows:
    """Files of one setting, read in others."""
    found = result("codec_elsewhere")
    rows = [
        [name, one["vectors"], "the same" if one["same bytes written"] else "others", *map(str, one["read"].values())]
        for name, one in found["settings"].items()
    ]
    return ("where", "instructions", "bytes written", "files read exactly", "refused", "wrong"), rows


def codec_cifar() -> Rows:
    """Exact files of colour images, by a small model."""
    return codec_lossless("codec_cifar")


def codec_progressive() -> Rows:
    """Bytes of an image until its error is so small."""
    found = result("codec")["progressive"]["at_equal_rmse"]
    names = list(found[0]["bytes"])
    rows = []
    for one in found:
        cells = [f"{one['bytes'][name]:.1f}" if one["bytes"][name] else "" for name in names]
        rows.append([f"{one['rmse']}", *cells, f"{one['of_webp']:.2f}"])
    return ("RMSE on 0..255", *names, "ddpm / WebP"), rows


def codec_speed() -> Rows:
    """What writing and reading a file costs."""
    found = result("codec")["speed"]
    rows = [
        [
            what,
            f"{one['seconds_per_image']:.2f} s",
            f"{one['network_images_per_image']:.1f}",
            f"{one['share_of_network']:.0%}",
            f"{one['times_the_network']:.2f}",
        ]
        for what, one in ((what, found[what]) for what in ("write", "read"))
    ]
    return ("an image", "processor time", "network evaluations", "share of the network", "time / the network's"), rows


def round_trip() -> Rows:
    """What becomes of files, whole and harmed."""
    told = result("round_trip")["told"]
    rows = [[name, f"{told[name]:,}"] for name in ("images", "the same")]
    rows += [[name, f"{count:,}"] for name, count in told.items() if ": " in name]
    return ("there and back", "how many"), rows


def time_to_quality() -> Rows:
    """The bound of held-out digits after the same time, by choices."""
    found = result("time_to_quality")["found"]
    rows = [
        [name, f"{one['steps']:,}", f"{one['seconds']:.0f} s", _bound(one, 4)]
        for name, several in sorted(found.items(), key=lambda item: item[1][0]["bits_per_dim"])
        for one in several
    ]
    return ("held-out images, time: choice", "steps", "processor time", "bits/dim"), rows


def good_samples() -> Rows:
    """Distance and speed of chains."""
    rows = [
        [name, f"{one['frechet']:.1f} ± {one['stderr']:.1f}", f"{one['samples_per_second']:.2f}"]
        for name, one in sorted(result("good_samples")["chains"].items(), key=lambda item: item[1]["frechet"])
    ]
    return ("chain", "Fréchet distance", "samples a second"), rows


def growth() -> Rows:
    """Time and memory by size."""
    rows = []
    for name, one in result("growth")["rows"].items():
        sizes = " / ".join(f"{size:,}" for size in one["sizes"])
        seconds = " / ".join(f"{time:.1f}" for time in one["seconds"])
        memory = " / ".join(str(mib) for mib in one["mib"])
        power = "" if one["exponent"] is None else f"{one['exponent']:.2f}"
        rows.append([name, sizes, f"{one['start']:.1f}", seconds, memory, power])
    return ("what grows", "sizes", "start, s", "seconds", "peak MiB", "exponent"), rows


def explorer() -> Rows:
    """How quick the page is with a model behind it."""
    rows = [
        [
            name.rpartition("/")[2],
            f"{one['network_ms']:.1f} ms",
            f"{one['first_picture_s']:.2f} s",
            f"{one['drag_ms']['median']:.0f} ms",
            f"{one['drag_ms']['most']:.0f} ms",
        ]
        for name, one in result("explorer")["runs"].items()
    ]
    return ("model", "a call of the network", "first picture", "drag to answer, median", "slowest"), rows


def explorer_engine() -> Rows:
    """The engine of an exported page."""
    rows = [
        [
            f"{name}, {one['parameters']:,} parameters",
            f"{one['page_bytes'] / 1e6:.2f} MB",
            f"{one['node']['batches']['1']['fastest']:.1f} ms",
            f"{one['node']['batches']['1']['torch']:.1f} ms",
            f"{one['chromium']['step_ms']['fastest']:.1f} ms",
            f"{one['difference']['float16']:.1e}",
        ]
        for name, one in result("explorer_engine")["models"].items()
    ]
    return ("network", "page", "call in node", "in torch", "step in Chromium", "largest difference to torch"), rows


def explorer_gpu() -> Rows:
    """The same by WebGPU."""
    rows = [
        [
            name,
            *(f"{one['difference'][pair]:.1e}" for pair in ("WebGPU to torch", "JavaScript to torch")),
            *(f"{one[engine]['step_ms']:.0f} ms" for engine in ("gpu", "js")),
        ]
        for name, one in result("explorer_gpu")["models"].items()
    ]
    return ("network", "WebGPU to torch", "JavaScript to torch", "step by SwiftShader", "in JavaScript"), rows


TABLES: Mapping[str, tuple[str, Callable[[], Rows]]] = {
    "training_beside_peers": ("beside_peers", lambda: beside_peers("training")),
    "sampling_beside_peers": ("beside_peers", lambda: beside_peers("sampling")),
    "bound_beside_peers": ("beside_peers", lambda: beside_peers("bound, two terms")),
    "step_memory": ("beside_peers", step_memory),
    "mnist": ("mnist", mnist),
    "mnist_in_four_minutes": ("mnist_in_four_minutes", mnist_in_four_minutes),
    "shipped_mnist": ("shipped_mnist", shipped_mnist),
    "sampler_overhead": ("sampler_overhead", sampler_overhead),
    "precision": ("precision", precision),
    "growth": ("growth", growth),
    "short_chains": ("short_chains", short_chains),
    "frechet_narrow": ("frechet_narrow", lambda: frechet("frechet_narrow")),
    "digits": ("digits", digits),
    "learned_mixture": ("learned_schedule", learned_mixture),
    "learned_digits": ("learned_schedule", learned_digits),
    "likelihoods": ("likelihoods", likelihoods),
    "cheap_bound": ("cheap_bound", cheap_bound),
    "checkpoint_cost": ("checkpoint_cost", checkpoint_cost),
    "exact_training": ("exact_training", exact_training),
    "data_loading": ("data_loading", data_loading),
    "large_images": ("large_images", large_images),
    "agreement": ("agreement", agreement),
    "memorisation": ("memorisation", memorisation),
    "codec_lossless": ("codec", codec_lossless),
    "codec_archive": ("codec_archive", codec_archive),
    "codec_elsewhere": ("codec_elsewhere", codec_elsewhere),
    "codec_cifar": ("codec_cifar", codec_cifar),
    "codec_progressive": ("codec", codec_progressive),
    "codec_speed": ("codec", codec_speed),
    "explorer": ("explorer", explorer),
    "explorer_engine": ("explorer_engine", explorer_engine),
    "explorer_gpu": ("explorer_gpu", explorer_gpu),
    "round_trip": ("round_trip", round_trip),
    "good_samples": ("good_samples", good_samples),
    "time_to_quality": ("time_to_quality", time_to_quality),
    "metrics_agreement": ("metrics_agreement", metrics_agreement),
}
"""Each table of the page: the benchmark whose numbers it shows, and how it is made."""
