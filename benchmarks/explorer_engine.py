"""The exported page's engine: time of a network call in node and in Chromium, beside torch; how far from torch; size of the file.

`python -m benchmarks.explorer_engine`: the network of the preset `digits` with random weights (its times and size do not depend on
them), and the model of MNIST that comes with the package. Times are the fastest and the median of 90 calls, on one thread;
`load` is how many processes wanted the machine's processors meanwhile.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import sync_playwright
from tests.explorer.harness import ENGINE, NODE, array, ask, tensor
from tests.explorer.harness import model_of as network_of
from tests.explorer.page_source import small_page

import ddpm
from benchmarks.machine import save
from ddpm.experiment.presets import digits
from ddpm.explorer.export import exported, model_of
from ddpm.explorer.join import joined
from ddpm.explorer.model_data import FULL, HALF
from ddpm.explorer.subject import GIVEN, Subject
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.sampling.optimal import Curve
from ddpm.trained.model import TrainedModel

BATCHES, CALLS = (1, 4, 16), 20
STEPS = (0, 100, 249)


def of_digits() -> TrainedModel:
    """A model with the network of `digits`, all of whose weights are at work."""
    experiment = digits()
    torch.manual_seed(0)
    assert isinstance(experiment.model, UNetShape)
    network = UNet(experiment.model, 1, 2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    p = ddpm.ReverseProcess(
        network, experiment.schedule.build(17), variance=ddpm.Learned(), decoder=ddpm.discretised(17)
    )
    return ddpm.model(p, (1, 8, 8))


def torch_ms(network: torch.nn.Module, x: torch.Tensor) -> float:
    """The fastest call of torch, milliseconds."""
    times = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        with torch.no_grad():
            network(x, torch.full((len(x),), 5))
        times.append(time.perf_counter() - begun)
    return 1000 * min(times)


def differences(network: torch.nn.Module, x: torch.Tensor, place: Path) -> dict[str, float]:
    """The largest difference from torch, as a part of the largest output, for weights of both precisions."""
    found = {}
    for dtype in (FULL, HALF):
        each = [{"model": network_of(network, dtype), "x": array(x), "timestep": t, "labels": None} for t in STEPS]
        worst = 0.0
        for one, mine in zip(each, ask(place, "networks", each=each), strict=True):
            with torch.no_grad():
                right = network(x, torch.full((len(x),), one["timestep"]))
            worst = max(worst, float((tensor(mine) - right).abs().max() / right.abs().max()))
        found[dtype] = worst
    return found


def in_chromium(page: Path) -> dict[str, Any]:
    """Milliseconds of a step of DDIM for one image in the page's thread, of chains of 25, and until the page is ready."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        begun = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("#said:not(:empty)")
        ready = 1000 * (time.perf_counter() - begun)
        assert tab.text_content("#said") == "ready Threaded"
        call = """async () => {
          const times = [];
          for (let i = 0; i < 6; i++) {
            const begun = performance.now();
            for await (const _ of backend.ask("reverse", { steps: 25, sampler: "ddim" }));
            times.push((performance.now() - begun) / 25);
          }
          times.sort((a, b) => a - b);
          return { fastest: times[0], median: times[3] };
        }"""
        found = {"ready_ms": ready, "step_ms": tab.evaluate(call), "version": browser.version}
        browser.close()
    return found


def measured(name: str, trained: TrainedModel, place: Path, in_node: dict[str, Any]) -> dict[str, Any]:
    """All numbers of one model."""
    some = torch.ones(trained.schedule.T + 1, dtype=torch.float64)  # a curve that need not be measured
    subject = Subject(trained, torch.zeros(16, *trained.shape), torch.full((16,), -1), GIVEN, Curve(some, some, some))
    (page := place / f"{name}.html").write_text(joined(small_page(), model_of(subject, HALF)))
    for batch, row in in_node["batches"].items():
        row["torch"] = torch_ms(trained.network, torch.randn(int(batch), *trained.shape))
    return {
        "parameters": sum(parameter.numel() for parameter in trained.network.parameters()),
        "page_bytes": len(exported(subject).encode()),
        "node": in_node,
        "chromium": in_chromium(page),
        "difference": differences(trained.network, torch.randn(4, *trained.shape), place),
    }


def main() -> None:
    """Both models, as text and as a result."""
    torch.set_num_threads(1)
    models = {"digits": of_digits(), "mnist": ddpm.load("ddpm:mnist")}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        asked = [
            {"name": name, "model": network_of(one.network), "batches": [[n, *one.shape[1:]] for n in BATCHES]}
            for name, one in models.items()
        ]
        (request := place / "engine.json").write_text(json.dumps({"models": asked}))
        script = Path(__file__).with_suffix(".mjs")
        done = subprocess.run([NODE, script, ENGINE, request], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        rows = {name: measured(name, one, place, found.pop(name)) for name, one in models.items()}
    for name, row in rows.items():
        for batch, at in row["node"]["batches"].items():
            print(
                f"{name}, {batch} images: {at['fastest']:.1f} ms (median {at['median']:.1f}) in node, "
                f"{at['GMAC_per_s']:.2f} GMAC/s; torch {at['torch']:.1f} ms"
            )
        step, size = row["chromium"]["step_ms"], row["page_bytes"] / 1e6
        print(f"{name}: {step['fastest']:.1f} ms a step in Chromium, {size:.2f} MB, {row['difference']}")
    print(found)
    print(
        save(
            "explorer_engine",
            rounded({"node": version, "load": os.getloadavg()[0], "convolutions": found, "models": rows}),
        )
    )


def rounded(value: Any) -> Any:
    """Numbers with three digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
