"""The exported page's engine by WebGPU in a real browser: the numbers of torch and of JavaScript, what is chosen, a device lost.

Debian's Chromium holds SwiftShader, a GPU in software: it has WebGPU on any machine.
"""

import os
from dataclasses import replace

import pytest
import torch

import ddpm
from ddpm.experiment.presets import digits
from ddpm.explorer.export import exported, model_of
from ddpm.explorer.join import joined
from ddpm.explorer.model_data import FULL
from ddpm.explorer.subject import GIVEN, Subject
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.sampling.optimal import Curve
from tests.explorer.conftest import tiny
from tests.explorer.harness import HERE
from tests.explorer.harness import model_of as network_of
from tests.explorer.page_source import small_page
from tests.explorer.test_engine import OPTIONS, SIDES, random_network
from tests.harness.browser import GPU, browser

pytestmark = pytest.mark.slow
NEAR = 1e-5


@pytest.fixture(scope="module")
def opened():
    """Chromium with SwiftShader. CI has it; where another browser gives no adapter, these tests are skipped."""
    with browser(GPU) as found:
        yield found


@pytest.fixture(scope="module")
def parts(opened, tmp_path_factory):
    """A page with the engine's parts, its GPU open."""
    path = tmp_path_factory.mktemp("gpu") / "parts.html"
    path.write_text(joined(small_page() | {"main.js": (HERE / "gpu.js").read_text()}, {}))
    page = opened.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("#said:not(:empty)", timeout=60_000)
    said = page.text_content("#said")
    if said == "there is no adapter" and not os.environ.get("DDPM_CI"):
        pytest.skip("this browser gives no WebGPU adapter: the engine is not tried on a GPU")
    assert said == "ready", said
    return page


def far(found, right):
    """The largest difference as a part of the largest number."""
    return float((torch.tensor(found).reshape(right.shape) - right).abs().max() / right.abs().max())


@pytest.mark.parametrize("seed", range(3))
def test_layers(parts, seed):
    """Each layer with channels, sides and groups at random: as in JavaScript."""
    found = parts.evaluate("(seed) => tasks.layers(seed)", seed)
    assert len(found) == 14
    for name, shape, difference in found:
        assert difference < NEAR, (name, shape, difference)


def agrees(page, network, *each):
    """For images and what goes with them the GPU's output is torch's, and that of JavaScript."""
    asked = [
        {"x": x.flatten().tolist(), "size": list(x.shape), "timestep": t, "labels": labels} for x, t, labels in each
    ]
    found = page.evaluate("([model, each]) => tasks.network(model, each)", [network_of(network), asked])
    for (x, t, labels), (on_gpu, in_javascript) in zip(each, found, strict=True):
        with torch.no_grad():
            told = None if labels is None else torch.tensor(labels)
            right = network(x, torch.full((len(x),), t), told)
        assert far(on_gpu, right) < NEAR, (x.shape, t)
        assert far(on_gpu, torch.tensor(in_javascript).reshape(right.shape)) < NEAR, (x.shape, t)


@pytest.mark.parametrize("name", OPTIONS)
def test_networks(parts, name):
    """Every option of the network, images of odd sides."""
    i = list(OPTIONS).index(name)
    labels = [4, -1, 0] if name == "classes" else None
    count = 3 if labels else 1 + i % 2
    x = torch.randn(count, 2, *SIDES[i % len(SIDES)])
    agrees(parts, random_network(2, 4, **OPTIONS[name]), (x, (0, 17, 999)[i % 3], labels))


def test_sizes(parts):
    """More sizes than plans are kept, one of them again; and more images than go through together."""
    network = random_network(channels=5, multipliers=(1,))
    counts = (1, 2, 3, 4, 5, 1, 66)
    agrees(parts, network, *((torch.randn(count, 1, 3, 4), 7, None) for count in counts))


@pytest.mark.parametrize(("seconds", "counts"), [(None, [12]), (0.001, [12]), (0.1, [5, 5, 2]), (3, [1] * 12)])
def test_a_call_is_cut_where_one_image_takes_long(parts, seconds, counts):
    """The GPU does not compute for much more than half a second without a pause."""
    network = random_network(channels=5, multipliers=(1,))
    x = torch.randn(12, 1, 3, 4)
    asked = {"x": x.flatten().tolist(), "size": list(x.shape), "seconds": seconds}
    found, off = parts.evaluate("([model, asked]) => tasks.together(model, asked)", [network_of(network), asked])
    assert found == counts
    assert off < NEAR


def test_joined_layers_are_on_the_gpu_alone(parts):
    assert parts.evaluate("(model) => tasks.kept(model)", network_of(random_network())) == 0


def test_digits(parts):
    """The network of the preset, all of its weights at work."""
    shape = digits().model
    assert isinstance(shape, UNetShape)
    network = UNet(shape, 1, 2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    agrees(parts, network, (torch.randn(1, 1, 8, 8), 100, None))


def test_mnist(parts):
    """The model that comes with the package."""
    agrees(parts, ddpm.load("ddpm:mnist").network, (torch.randn(1, 1, 28, 28), 999, None))


@pytest.fixture(scope="module")
def subject():
    some = torch.ones(21, dtype=torch.float64)
    return Subject(tiny(), ddpm.images("digits")[:4].tensor, torch.full((4,), -1), GIVEN, Curve(some, some, some))


@pytest.fixture
def of_tiny(parts, opened, subject, tmp_path):
    """The page of a small model, whose engine is in the page itself: `page(wanted, script)`."""
    pages = []

    def page(wanted, script="", before="delete window.Worker;", of=subject):
        (path := tmp_path / "tiny.html").write_text(joined(small_page(), model_of(of, FULL)))
        pages.append(opened.new_page())
        pages[-1].set_default_timeout(60_000)
        pages[-1].add_init_script(before + script)
        pages[-1].goto(f"{path.as_uri()}#engine={wanted}")
        pages[-1].wait_for_selector("#said:not(:empty)")
        return pages[-1]

    yield page
    for one in pages:
        one.close()


PATIENT = """
const wait = setTimeout;
setTimeout = (call, milliseconds) => wait(call, milliseconds === 5000 ? 60000 : milliseconds);
"""
"""SwiftShader needs seconds for what a GPU does at once, on a busy machine more than the page waits."""
HARDWARE = "Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });"
"""SwiftShader says that it is no GPU of hardware, and is passed over where nobody asked for it."""
NEVER = "GPU.prototype.requestAdapter = () => new Promise(() => {})"
RUNS_ON = """async () => {
  let last = null;
  for await (const now of backend.ask("engine", {})) {
    last = now;
    if (now.runs_on === "WebGPU") break;
  }
  return [last.runs_on, last.seconds > 0, last.trouble];
}"""
"""Once the GPU was tried."""


@pytest.mark.parametrize(
    ("wanted", "script", "runs_on", "trouble"),
    [
        ("gpu", "", "WebGPU", None),
        ("js", "", "JavaScript", None),
        ("", HARDWARE + PATIENT, "JavaScript", None),  # SwiftShader is slower
        ("", "GPUAdapter.prototype.requestDevice = async () => { throw new Error('no') }", "JavaScript", None),
        ("gpu", "delete Navigator.prototype.gpu", "JavaScript", None),
        ("gpu", "GPU.prototype.requestAdapter = async () => null", "JavaScript", None),
        ("gpu", "GPUAdapter.prototype.requestDevice = async () => { throw new Error('no') }", "JavaScript", "no"),
        ("", NEVER, "JavaScript", "5 s"),
        ("gpu", "GPUQueue.prototype.writeBuffer = () => {}", "JavaScript", "other numbers"),
        (
            "gpu",
            "const make = GPUDevice.prototype.createShaderModule;"
            "GPUDevice.prototype.createShaderModule = function () { return make.call(this, { code: 'nonsense' }); }",
            "JavaScript",
            "nvalid",
        ),
        (
            "gpu",
            "const make = GPUDevice.prototype.createBuffer;"
            "GPUDevice.prototype.createBuffer = function (of) { return make.call(this, { ...of, size: of.size + 2 ** 50 }); }",
            "JavaScript",
            "too large",
        ),
    ],
)
def test_chosen(of_tiny, wanted, script, runs_on, trouble):
    """What computes: the faster one, the one that was asked for, and JavaScript where the GPU cannot be had or is wrong."""
    found, measured, why = of_tiny(wanted, script).evaluate(RUNS_ON)
    assert (found, measured) == (runs_on, True)
    assert why == trouble or (trouble is not None and trouble in why), why


SLOW = """() => {
  const run = backend.net.run;
  backend.net.run = function (...given) {
    for (const end = performance.now() + 700; performance.now() < end; );
    return run.apply(this, given);
  };
}"""
"""JavaScript takes 0.7 s for a call."""


def test_a_network_that_gives_nothing(of_tiny, subject):
    """One that was not trained gives 0 everywhere, and the GPU as well."""
    untrained = tiny()
    torch.nn.init.zeros_(untrained.network.last.weight)
    torch.nn.init.zeros_(untrained.network.last.bias)
    page = of_tiny("gpu", of=replace(subject, model=untrained))
    assert page.evaluate(RUNS_ON) == ["WebGPU", True, None]


@pytest.mark.parametrize(("wanted", "runs_on"), [("", "WebGPU"), ("js", "JavaScript")])
def test_the_faster(of_tiny, wanted, runs_on):
    """Where JavaScript is slow the GPU computes, though nobody asked for it; not where JavaScript was asked for."""
    page = of_tiny(wanted, HARDWARE + PATIENT)
    page.evaluate(SLOW)
    assert page.evaluate(RUNS_ON)[0] == runs_on


def test_answers_do_not_wait_for_the_gpu(of_tiny):
    """An adapter that never comes: the page has its model at once, and hears what became of the GPU."""
    seconds, first, heard = of_tiny("", NEVER).evaluate(
        """async () => {
          const begun = performance.now(), heard = [];
          for await (const { runs_on, trouble } of backend.ask("model", {})) heard.push([runs_on, trouble]);
          const seconds = (performance.now() - begun) / 1000;
          for await (const { runs_on, trouble } of backend.ask("engine", {})) heard.push([runs_on, trouble]);
          return [seconds, heard.shift(), heard];
        }"""
    )
    assert seconds < 2
    assert first == heard[0] == ["JavaScript", None]
    assert len(heard) == 2
    assert "5 s" in heard[1][1]


def test_the_gpu_is_timed_alone(of_tiny):
    """What JavaScript computes holds the GPU's answers up; not while it is timed."""
    page = of_tiny("", HARDWARE + PATIENT)
    page.evaluate(SLOW)
    runs_on, seconds, trouble = page.evaluate(
        """async () => {
          let last = null;
          const [x_0, busy] = [{ shape: [1, 1, 8, 8], data: new Float32Array(64) }, async () => {
            while (last?.runs_on !== "WebGPU") for await (const _ of backend.ask("noised", { x_0, t: 5 }));
          }];
          busy();
          for await (const now of backend.ask("engine", {})) {
            last = now;
            if (now.runs_on === "WebGPU") break;
          }
          return [last.runs_on, last.seconds, last.trouble];
        }"""
    )
    assert (runs_on, trouble) == ("WebGPU", None)
    assert seconds < 0.6
    assert page.evaluate("backend.engine.onGpu.seconds") == seconds  # by which its calls are cut


def test_nobody_waits_for_the_gpu_any_more(of_tiny):
    """An ask for the engine ends when its page turns away, in the thread too."""
    page = of_tiny("gpu", before="")
    ended = page.evaluate(
        """async () => {
          const done = new Promise((resolve) => {
            backend.thread.addEventListener("message", ({ data }) => data.done && resolve(data.id));
          });
          const asked = backend.asked;
          for await (const { runs_on } of backend.ask("engine", {})) {
            if (runs_on !== "WebGPU") continue;
            await new Promise((resolve) => setTimeout(resolve, 200)); // it waits for the next change by now
            break;
          }
          const late = new Promise((resolve) => setTimeout(() => resolve("late"), 5000));
          return (await Promise.race([done, late])) === asked;
        }"""
    )
    assert ended


DRAWN = """async () => {
  let found = null;
  for await (const { x } of backend.ask("reverse", { sampler: "ddim", seed: 5 })) found = x ?? found;
  return [backend.constructor.name, Array.from(found.data)];
}"""


def test_in_thread(of_tiny):
    """The thread of a page has the GPU too, and draws the same image by both."""
    pages = [of_tiny(wanted, before="") for wanted in ("gpu", "js")]
    assert [page.evaluate(RUNS_ON)[0] for page in pages] == ["WebGPU", "JavaScript"]
    (kind, on_gpu), (_, in_javascript) = (page.evaluate(DRAWN) for page in pages)
    assert kind == "Threaded"
    assert far(on_gpu, torch.tensor(in_javascript)) < 1e-4
    assert on_gpu != in_javascript


LOST = """async (between) => {
  await backend.engine.tried;
  const device = backend.engine.onGpu.gpu.device;
  const heard = [];
  const hearing = (async () => {
    for await (const now of backend.ask("engine", {})) heard.push([now.runs_on, now.trouble]);
  })();
  let [found, count] = [null, 0];
  if (!between) {
    const submit = device.queue.submit.bind(device.queue);
    let left = 3;
    device.queue.submit = (commands) => {
      submit(commands);
      if (--left === 0) device.destroy();
    };
  }
  for await (const { x } of backend.ask("reverse", { sampler: "ddim", seed: 5 })) {
    if (x) [found, count] = [x, count + 1];
    if (between && count === 3) device.destroy();
  }
  await hearing;
  return [Array.from(found.data), count, heard];
}"""


@pytest.mark.parametrize("between", [True, False])
def test_lost(of_tiny, between):
    """The device goes between two calls, or in one: JavaScript goes on, no step is missing, and the page hears of it."""
    found, count, heard = of_tiny("gpu").evaluate(LOST, between)
    _, right = of_tiny("js").evaluate(DRAWN)
    assert count == 20
    assert far(found, torch.tensor(right)) < 1e-4
    assert [name for name, _ in heard] == ["WebGPU", "JavaScript"]
    assert heard[1][1]


def test_page_says_it(opened, parts, subject, tmp_path):
    """The explorer's own page: what runs, and how fast, in both languages; nothing is wrong on the console."""
    (path := tmp_path / "explorer.html").write_text(exported(subject))
    page, said = opened.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{path.as_uri()}#engine=gpu&lang=en")
    page.wait_for_selector("#stage .body[data-t]", timeout=60_000)
    page.wait_for_selector("#facts:has-text('runs on WebGPU, ')", timeout=60_000)
    page.evaluate("location.hash = 'engine=gpu&lang=ko'")
    page.wait_for_selector("html[lang=ko] #facts:has-text('WebGPU에서 실행')")
    assert "engine=gpu" in page.url
    assert said == []
    page.close()
