"""The exported page's engine by WebGPU beside the one in JavaScript, in Chromium: how far each is from torch, time of a step, bytes.

`python -m benchmarks.explorer_gpu`. The GPU is SwiftShader, which computes on the processor: its times say nothing of a GPU, its
numbers do. `load` is how many processes wanted the machine's processors meanwhile.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Browser, Page
from tests.explorer.harness import HERE
from tests.explorer.harness import model_of as network_of
from tests.explorer.page_source import small_page
from tests.harness.browser import GPU, browser

import ddpm
from benchmarks.explorer_engine import of_digits, rounded
from benchmarks.machine import save
from ddpm.explorer.export import explorer_files, exported, model_of
from ddpm.explorer.join import joined, program
from ddpm.explorer.model_data import FULL, HALF
from ddpm.explorer.subject import GIVEN, Subject
from ddpm.sampling.optimal import Curve
from ddpm.trained.model import TrainedModel

STEPS, IMAGES = (1, 100, 249), 2
CHAIN, TIMES = 10, 3
WITHOUT = {
    "engine/gpu/device.js": "export async function openGpu() {\n  return null;\n}\n",
    "engine/gpu/network.js": "export class GpuNetwork {}\n",
}
"""The page's files that make it one without a GPU."""


def opened(chromium: Browser, page: Path, address: str = "") -> Page:
    """A page from the disk, once it is ready."""
    tab = chromium.new_page()
    tab.set_default_timeout(120_000)
    tab.goto(page.as_uri() + address)
    tab.wait_for_selector("#said:not(:empty)")
    return tab


def differences(tab: Page, trained: TrainedModel) -> dict[str, float]:
    """The largest difference from torch, and of both engines from each other, as a part of the largest output."""
    worst = {"WebGPU to torch": 0.0, "JavaScript to torch": 0.0, "WebGPU to JavaScript": 0.0}
    for t in STEPS:
        x = torch.randn(IMAGES, *trained.shape)
        one = {"x": x.flatten().tolist(), "size": list(x.shape), "timestep": t, "labels": None}
        asked = [network_of(trained.network, FULL), [one]]
        ((on_gpu, in_javascript),) = tab.evaluate("([model, each]) => tasks.network(model, each)", asked)
        with torch.no_grad():
            right = trained.network(x, torch.full((IMAGES,), t))
        gpu, js = (torch.tensor(found).reshape(right.shape) for found in (on_gpu, in_javascript))
        for name, (a, b) in zip(worst, ((gpu, right), (js, right), (gpu, js)), strict=True):
            worst[name] = max(worst[name], float((a - b).abs().max() / right.abs().max()))
    return worst


STEP = """async ([steps, times]) => {
  const begun = performance.now();
  let name = "";
  for await (const { runs_on } of backend.ask("engine", {})) {
    name = runs_on;
    break;
  }
  const chosen = performance.now() - begun;
  let fastest = Infinity;
  for (let i = 0; i < times; i++) {
    const begun = performance.now();
    for await (const _ of backend.ask("reverse", { steps, sampler: "ddim" }));
    fastest = Math.min(fastest, (performance.now() - begun) / steps);
  }
  return { name, chosen_ms: chosen, step_ms: fastest };
}"""


def main() -> None:
    """Both models, as text and as a result."""
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    files = explorer_files()
    script = program(files)
    bytes_of = {"program": len(script), "for_webgpu": len(script) - len(program({**files, **WITHOUT}))}
    with tempfile.TemporaryDirectory() as folder, browser(GPU) as chromium:
        parts = Path(folder) / "parts.html"
        parts.write_text(joined({**small_page(), "main.js": (HERE / "gpu.js").read_text()}, {}))
        tab = opened(chromium, parts)
        assert tab.text_content("#said") == "ready"
        for name, trained in {"digits": of_digits(), "mnist": ddpm.load("ddpm:mnist")}.items():
            ones = torch.ones(trained.schedule.T + 1, dtype=torch.float64)  # a curve that need not be measured
            images, none = torch.zeros(16, *trained.shape), torch.full((16,), -1)
            subject = Subject(trained, images, none, GIVEN, Curve(ones, ones, ones))
            (page := Path(folder) / f"{name}.html").write_text(joined(small_page(), model_of(subject, HALF)))
            row: dict[str, Any] = {
                "page_bytes": len(exported(subject).encode()),
                "difference": differences(tab, trained),
            }
            for engine in ("js", "gpu"):
                one = opened(chromium, page, f"#engine={engine}")
                row[engine] = one.evaluate(STEP, [CHAIN, TIMES])
                one.close()
            rows[name] = row
            print(name, row)
        version = chromium.version
    about = {"chromium": version, "adapter": "SwiftShader (a CPU)", "load": os.getloadavg()[0], "bytes": bytes_of}
    print(save("explorer_gpu", rounded({**about, "models": rows})))


if __name__ == "__main__":
    main()
