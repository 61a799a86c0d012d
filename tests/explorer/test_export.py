"""A page as one file: its modules joined, and opened from the disk in a real browser, where the model runs and nothing is fetched."""

import base64
import json
import re
import shutil

import pytest
import torch

import ddpm
from ddpm.errors import UsageError
from ddpm.explorer.export import exported
from ddpm.explorer.join import joined, program
from tests.explorer.harness import array, run_program
from tests.explorer.page_source import page_folder

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def folder(tmp_path):
    """A page's folder whose modules are one's own."""
    return page_folder(tmp_path / "page")


def test_join(folder):
    """Names, other names, whole modules, modules that are asked for later, and each evaluated once."""
    (folder / "a.js").write_text(
        "/** Documentation with import { x } from nowhere. */\n"
        "export const one = 1;\nexport async function* two() {\n  yield 2;\n}\n"
        "export class Three {}\nexport let four = 4;\nconst hidden = 5;\nprint('a');\n"
    )
    (folder / "b.js").write_text('import * as a from "./a.js";\nexport function sum() {\n  return a.one + a.four;\n}\n')
    (folder / "main.js").write_text(
        'import {\n  one as first,\n  two,\n  Three,\n} from "./a.js";\nimport { sum } from "./b.js";\n'
        'import("./engine/spacing.js").then(({ SPACINGS }) => print(SPACINGS.length));\n'
        "print(first, sum(), typeof two, typeof Three);\n"
    )
    assert run_program(program(folder)).split("\n")[:3] == ["a", "1 5 function function", "5"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('import x from "./say.js";', "import x from"),
        ('import "./say.js";', 'import "./say.js"'),
        ("export default 3;", "export default"),
        ("export { say };", "export { say }"),
        ("const here = import.meta.url;", "import.meta"),
        ("import(name);", "import"),
        ('import { a } from "lodash";', "lodash"),
        ('import { a } from "./missing.js";', "missing.js"),
        ('const text = "</script>";', "</script"),
    ],
)
def test_join_refuses(folder, line, why):
    """What the one file could not do is refused when it is made."""
    (folder / "main.js").write_text(line + "\n")
    with pytest.raises(UsageError, match=re.escape(why)):
        program(folder)


def test_join_refuses_a_circle(folder):
    """Two modules that need each other to begin."""
    (folder / "main.js").write_text('import { b } from "./b.js";\nexport const a = 1;\n')
    (folder / "b.js").write_text('import { a } from "./main.js";\nexport const b = 1;\n')
    with pytest.raises(UsageError, match="circle"):
        program(folder)


def test_joined_page(folder):
    """The style and the program are inside, and the data cannot end their element."""
    page = joined(folder, {"name": "</script><b>", "numbers": [1.5]})
    assert "color: blue" in page
    assert "src=" not in page
    assert "<b>" not in page
    inside = re.search(r'id="model">(.*?)</script>', page, re.DOTALL)
    assert json.loads(inside[1]) == {"name": "</script><b>", "numbers": [1.5]}
    (folder / "index.html").write_text("<html><head></head><body></body></html>")
    with pytest.raises(UsageError, match=r"main\.js"):
        joined(folder, {})


@pytest.fixture(scope="module")
def trained():
    return ddpm.load("ddpm:mnist")


@pytest.fixture(scope="module")
def page_file(trained, tmp_path_factory):
    """The model that comes with the package as a page."""
    place = tmp_path_factory.mktemp("exported")
    images = torch.randint(0, 256, (3, 1, 28, 28)) / 127.5 - 1
    text = exported(trained, images, torch.full((3,), -1), "given", page=page_folder(place / "page"))
    (path := place / "page.html").write_text(text)
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


def opened(browser, path, script=""):
    """A page from the disk, what it wrote to the console, and what it fetched."""
    page, said, fetched = browser.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.add_init_script(script)
    page.goto(path.as_uri())
    page.wait_for_selector("#said:not(:empty)")
    return page, said, fetched


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
