"""A page as one file: its modules joined, and opened from the disk in a real browser, where the model runs and nothing is fetched."""

import base64
import json
import re
import shutil

import pytest
import torch

import ddpm
from ddpm.explorer.export import exported, model_of
from ddpm.explorer.join import CannotJoin, joined, program
from ddpm.explorer.model_data import HALF
from ddpm.explorer.subject import GIVEN, Subject
from ddpm.sampling.optimal import Curve
from tests.explorer.harness import array, run_program
from tests.explorer.page_source import small_page

CHROMIUM = shutil.which("chromium")
NO_GPU = "No available adapters."
"""What Chromium writes to the console where a page asks for a GPU and there is none."""


@pytest.fixture
def page():
    """The files of a page whose modules are one's own."""
    return small_page()


def test_join(page):
    """Names, other names, whole modules, modules that are asked for later, and each evaluated once."""
    page["a.js"] = (
        "/** Documentation with import { x } from nowhere. */\n"
        "export const one = 1;\nexport async function* two() {\n  yield 2;\n}\n"
        "export class Three {}\nexport let four = 4;\nconst hidden = 5;\nprint('a');\n"
    )
    page["b.js"] = (
        'import * as a from "./a.js";\nexport function sum() {\n  return a.one + a.four;\n}\n'
        'export { one as again, Three } from "./a.js";\nconst x = 1;\nexport { x, x as y };\n'
    )
    page["main.js"] = (
        'import {\n  one as first,\n  two,\n  Three,\n} from "./a.js";\nimport { sum, again } from "./b.js";\n'
        'import("./engine/spacing.js").then(({ SPACINGS }) => print(SPACINGS.length));\n'
        "print(first, sum(), typeof two, typeof Three, again);\n"
    )
    assert run_program(program(page)).split("\n")[:3] == ["a", "1 5 function function 1", "5"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('import x from "./say.js";', "import x from"),
        ('import "./say.js";', 'import "./say.js"'),
        ("export default 3;", "export default"),
        ('export * from "./say.js";', "export *"),
        ("const here = import.meta.url;", "import.meta"),
        ("import(name);", "import"),
        ('import { a } from "lodash";', "lodash"),
        ('import { a } from "./missing.js";', "missing.js"),
        ('const text = "</script>";', "</script"),
        ('import { nothing } from "./say.js";', "imports nothing, which say.js does not export"),
    ],
)
def test_join_refuses(page, line, why):
    """What the one file could not do is refused when it is made."""
    page["main.js"] = line + "\n"
    with pytest.raises(CannotJoin, match=re.escape(why)):
        program(page)


def test_join_refuses_a_circle(page):
    """Two modules that need each other to begin."""
    page["main.js"] = 'import { b } from "./b.js";\nexport const a = 1;\n'
    page["b.js"] = 'import { a } from "./main.js";\nexport const b = 1;\n'
    with pytest.raises(CannotJoin, match="circle"):
        program(page)


def test_joined_page(page):
    """The style and the program are inside, and the data cannot end their element."""
    whole = joined(page, {"name": "</script><b>", "numbers": [1.5]})
    assert "color: blue" in whole
    assert "src=" not in whole
    assert "<b>" not in whole
    inside = re.search(r'id="model">(.*?)</script>', whole, re.DOTALL)
    assert json.loads(inside[1]) == {"name": "</script><b>", "numbers": [1.5]}
    page["index.html"] = "<html><head></head><body></body></html>"
    with pytest.raises(CannotJoin, match=r"main\.js"):
        joined(page, {})


@pytest.fixture(scope="module")
def trained():
    return ddpm.load("ddpm:mnist")


@pytest.fixture(scope="module")
def subject(trained):
    """With some images, and an error that need not be measured."""
    images, some = torch.randint(0, 256, (3, 1, 28, 28)) / 127.5 - 1, torch.linspace(1e-4, 0.9, 1001).double()
    return Subject(trained, images, torch.full((3,), -1), GIVEN, Curve(some, some, some))


@pytest.fixture(scope="module")
def page_file(subject, tmp_path_factory):
    """The model that comes with the package as a small page."""
    path = tmp_path_factory.mktemp("exported") / "page.html"
    path.write_text(joined(small_page(), model_of(subject, HALF)))
    return path


@pytest.fixture(scope="module")
def browser():
    """Chromium; where there is none these tests are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no page is opened")
    if CHROMIUM is None:
        pytest.skip("there is no chromium: no page is opened")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(browser):
    """A page, what it wrote to the console, and what it fetched."""
    page, said, fetched = browser.new_page(), [], []
    page.on("console", lambda message: said.append(message.text) if message.text != NO_GPU else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    return page, said, fetched


def opened(browser, path, script=""):
    """The same of a small page from the disk, once it is ready."""
    page, said, fetched = watched(browser)
    page.add_init_script(script)
    page.goto(path.as_uri())
    page.wait_for_selector("#said:not(:empty)")
    return page, said, fetched


def test_explorer(browser, subject, tmp_path):
    """The explorer's own page, exported: its scenes show numbers, nothing is fetched, and nothing is wrong."""
    (path := tmp_path / "explorer.html").write_text(exported(subject))
    page, said, fetched = watched(browser)
    page.goto(f"{path.as_uri()}#t=300")
    for scene in ("forward", "schedule", "bound"):
        page.click(f"#to-{scene}")
        page.wait_for_selector("#stage .body[data-t], #stage .body[data-total]", timeout=20_000)
        assert page.locator("#trouble").is_hidden(), page.text_content("#trouble")
    assert page.text_content("#name") == "ddpm:mnist"
    page.goto(f"{path.as_uri()}#scene=draw&count=1&sampler=ddim&steps=4&again=2")
    page.wait_for_selector(".easel")
    assert page.get_by_label("times around the hole").is_visible()
    box = page.locator(".easel").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.press("Enter")
    page.wait_for_selector("main [data-state=done]", timeout=20_000)
    assert f"Done: {4 + 3} evaluations" in page.text_content(".status")
    assert not said
    assert all(address.startswith(("file://", "blob:null/", "data:")) for address in fetched)
    page.close()


def test_each_tool_draws(browser, subject, tmp_path):
    """The pen whitens, the rubber takes away, the hole opens one; each leaves its strokes in the address."""
    (path := tmp_path / "explorer.html").write_text(exported(subject))
    page, said, _ = watched(browser)
    page.goto(f"{path.as_uri()}#scene=draw&count=1&sampler=ddim&steps=2")
    box = page.wait_for_selector(".easel").bounding_box()
    drawn = []
    for tool in ("pen", "rubber", "hole"):
        page.get_by_role("button", name=tool, exact=True).click()
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=5)
        page.mouse.up()
        drawn.append(page.evaluate("document.querySelector('canvas.easel').toDataURL()"))
        assert page.locator(".tools [aria-pressed=true]").text_content() == tool
    assert len(set(drawn)) == 3
    page.click("button.big")
    page.wait_for_selector("main [data-state=done]", timeout=20_000)
    assert not said
    page.close()


NOISED = """async ({ shape, base64, t }) => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const x_0 = { shape, data: new Float32Array(bytes.buffer) };
  for await (const { x_t, x_0: estimate, rmse } of backend.ask("noised", { x_0, t, seed: 1 })) {
    return { x_t: Array.from(x_t.data), x_0: Array.from(estimate.data), rmse };
  }
}"""


@pytest.mark.parametrize(("kind", "script"), [("Threaded", ""), ("Backend", "delete window.Worker")])
def test_in_browser(browser, page_file, trained, kind, script):
    """From file://, in a thread and without one: the library's numbers, no word on the console, nothing from elsewhere."""
    page, said, fetched = opened(browser, page_file, script)
    assert page.text_content("#said") == f"ready {kind}"
    x_0 = torch.rand(1, 1, 28, 28).mul(255).round() / 127.5 - 1
    for t in (1, 250, 1000):
        found = page.evaluate(NOISED, array(x_0) | {"t": t})
        x_t, estimate = (torch.tensor(found[name]).reshape(x_0.shape) for name in ("x_t", "x_0"))
        assert float((trained.estimate(x_t, t) - estimate).abs().max()) < 1e-3
    assert not said
    assert all(address.startswith(("file://", "blob:null/")) for address in fetched)
    assert len(fetched) == 1 + (kind == "Threaded")
    page.close()


def test_damaged_weights(browser, page_file, tmp_path):
    """One letter of the weights is another: the page says so, and computes nothing."""
    text = page_file.read_text()
    at = text.index('"dtype":"float16"') + 2000
    (path := tmp_path / "damaged.html").write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    page, said, _ = opened(browser, path)
    assert "damaged" in page.text_content("#said")
    assert not said
    page.close()


GETTING_OUT = """async () => {
  const image = new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve("reached");
    image.onerror = () => resolve("refused");
    image.src = "http://127.0.0.1:9/x.png";
  });
  const script = document.createElement("script");
  script.textContent = "window.stranger = 'reached'";
  document.body.append(script);
  const fetched = fetch("http://127.0.0.1:9/").then(() => "reached", () => "refused");
  return [await fetched, await image, window.stranger ?? "refused"];
}"""


def test_nothing_gets_out(browser, page_file):
    """The page's policy refuses every other address, and code that is not its own."""
    page, said, _ = opened(browser, page_file)
    assert page.evaluate(GETTING_OUT) == ["refused"] * 3
    assert sum("Content Security Policy" in words for words in said) >= 3, said
    page.close()


def test_abort_in_thread(browser, page_file):
    """A question whose page turns away stops at the next call of the network: the thread says no more of it."""
    page, _, _ = opened(browser, page_file)
    more = page.evaluate(
        """async () => {
          const away = new AbortController();
          const x_0 = { shape: [1, 1, 28, 28], data: new Float32Array(784) };
          let [answers, more] = [0, 0];
          backend.thread.addEventListener("message", ({ data }) => (more += away.signal.aborted && "answer" in data));
          for await (const _ of backend.ask("terms", { x_0 }, away.signal)) if (++answers === 2) away.abort();
          if (answers !== 2) throw new Error(`${answers} answers`);
          await new Promise((resolve) => setTimeout(resolve, 1000));
          const before = more;
          for await (const _ of backend.ask("images", {})) answers++;
          return [before, more - before, answers];
        }"""
    )
    assert more[0] <= 4  # those that were on their way; some 16 without an end
    assert more[1:] == [1, 3]
    page.close()


def test_half_precision(page_file):
    """The block of weights is what the digest says, half as large as float32."""
    inside = re.search(r'id="model">(.*?)</script>', page_file.read_text(), re.DOTALL)
    weights = json.loads(inside[1])["weights"]
    assert len(base64.b64decode(weights["base64"])) == 2 * 280_322
