"""The page in a real browser: each scene, its main gesture, and numbers that are the library's."""

import random
from dataclasses import replace
from importlib.resources import files
from urllib.parse import urlsplit

import pytest
import torch

import ddpm
from ddpm.diffusion.bound import bits_per_dim, prior, term
from ddpm.diffusion.variance import FIRST_VARIANCES
from ddpm.explorer.asks.forward import PURPOSE
from ddpm.explorer.handover import leading_to
from ddpm.explorer.subject import GIVEN, Subject, subject_of
from ddpm.seeds import generator
from ddpm.trained.schedules import find
from tests.harness.browser import Looked, browser, until
from tests.harness.served import served

pytestmark = pytest.mark.slow
SCENES = ("forward", "draw", "race", "schedule", "bound", "world", "bits", "between", "copies", "training")
LONG = pytest.mark.long
SCROLLS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

UNNAMED = """[...document.querySelectorAll('button, input, select, canvas[role], a')].filter(
    (one) => !(one.ariaLabel || one.innerText || one.closest('label')?.innerText)).length"""

VIOLATIONS = "({ violations }) => violations.map((one) => [one.id, one.nodes.map((node) => node.html)])"


@pytest.fixture(scope="module")
def opened():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def of_a_run(tmp_path_factory):
    """The page of a run, of which all scenes are there."""
    shape = {"model.channels": 8, "model.multipliers": [1, 2], "model.groups": 4, "model.blocks": 1, "schedule.T": 20}
    folder = tmp_path_factory.mktemp("looked") / "run"
    model = ddpm.fit("digits", folder, steps=10, batch_size=8, settings=shape | {"rhythm.sample": 10}, progress=False)
    with served(subject_of(model, None, pytest.fail)) as found:
        yield found


@pytest.fixture
def looked(opened, site):
    found = Looked(opened, site)
    yield found
    found.well()


def number(page, name):
    """A fact of the scene."""
    text = page.locator(".fact", has_text=name).locator("b").text_content()
    return float(text.replace("−", "-"))


def settled(page, t):
    until(page, f"document.querySelector('#stage .body')?.dataset.t === '{t}'")


def grey(page, which):
    """The pixels of a picture of the scene."""
    program = """(i) => { const c = document.querySelectorAll('#stage figure canvas')[i];
        return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).filter((_, k) => k % 4 === 0) }"""
    return torch.tensor(page.evaluate(program, which)).float()


def as_bytes(x):
    return ((x.flatten() + 1) * 127.5).round().clamp(0, 255)


@pytest.mark.parametrize("trial", [*range(3), *(pytest.param(trial, marks=LONG) for trial in range(3, 20))])
def test_forward_tells_what_the_library_computes(looked, subject, trial):
    draw = random.Random(trial)
    t, row, seed = draw.randint(1, 20), draw.randrange(8), draw.randrange(1000)
    page = looked.open(scene="forward", t=t, image=row, seed=seed)
    settled(page, t)
    x_0, p = subject.x_0[row : row + 1], subject.model.process
    x_t = p.q.sample(x_0, t, torch.randn(x_0.shape, generator=generator(seed, PURPOSE)))
    estimate = subject.model.estimate(x_t, t)
    assert (grey(page, 1) - as_bytes(x_t)).abs().max() <= 1
    assert (grey(page, 2) - as_bytes(estimate)).abs().max() <= 1
    assert number(page, "log SNR") == pytest.approx(float(p.schedule.log_snr[t]), abs=1e-3)
    assert number(page, "RMSE") == pytest.approx(127.5 * float((estimate - x_0).square().mean().sqrt()), rel=1e-2)


def test_bits_received_and_still_to_come_are_the_bound(looked, subject):
    page = looked.open(scene="forward", t=7, image=0)
    until(page, "document.querySelector('.bits').dataset.complete === 'true'")
    x_0, p = subject.x_0[:1], subject.model.process
    nats = {}
    for t in p.schedule.steps:
        eps = torch.randn(x_0.shape[1:], generator=generator(0, PURPOSE, t))[None]
        with torch.no_grad():
            nats[t] = term(p, x_0, p.q.sample(x_0, t, eps), t)[0]
    nats[21] = prior(p.q, x_0)
    bits = {t: float(bits_per_dim(value, 64)) for t, value in nats.items()}
    left = sum(value for t, value in bits.items() if t <= 7)
    assert number(page, "still to come") == pytest.approx(left, abs=2e-3, rel=1e-3)
    assert number(page, "received") == pytest.approx(sum(bits.values()) - left, abs=2e-3, rel=1e-3)


@pytest.mark.parametrize(("first", "most"), [("beta-tilde-2", False), ("beta-tilde-1", True)])
def test_where_l_0_is_most_of_the_bound_it_is_said(opened, subject, first, most):
    """By a model that takes its error at t = 1 for next to nothing, and by none that does not."""
    variance = ddpm.VARIANCES["learned"](FIRST_VARIANCES[first])
    p, x_0 = replace(subject.model.process, variance=variance), subject.x_0[:1]
    eps = torch.randn(x_0.shape[1:], generator=generator(0, PURPOSE, 1))[None]
    with torch.no_grad():
        bits_0 = float(bits_per_dim(term(p, x_0, p.q.sample(x_0, 1, eps), 1)[0], 64))
    with served(Subject(ddpm.model(p, (1, 8, 8)), subject.x_0, subject.labels, GIVEN)) as site:
        looked = Looked(opened, site)
        page = looked.open(scene="forward", t=7, image=0)
        until(page, "document.querySelector('.bits').dataset.complete === 'true'")
        whole = float(page.locator("div.bits").get_attribute("data-whole"))
        assert page.locator(".why").is_visible() == (bits_0 > whole / 2) == most
        if most:
            said = page.locator(".why").text_content().split()[3]
            assert float(said) == pytest.approx(bits_0, rel=1e-2)
        looked.well()


def test_bits_of_a_file_and_the_ends_of_a_way(opened, of_a_run):
    """Bits/dim stand beside the bytes, with why they are not the bound; two images are seen between which one goes."""
    looked = Looked(opened, of_a_run, viewport={"width": 390, "height": 800})
    page = looked.open(scene="bits")
    until(page, "document.querySelector('#stage .body').dataset.bytes")
    whole = int(page.locator(".fact", has_text="bytes read").locator("b").text_content().split("/")[1])
    assert number(page, "of the whole file") == pytest.approx(8 * whole / 64, abs=1e-3)
    assert "15 bits" in page.locator(".why").text_content(), "2^-10, and 17 levels"
    tops = page.evaluate(
        "[...document.querySelectorAll('.formats figure')].map((one) => Math.round(one.getBoundingClientRect().width))"
    )
    assert max(tops) <= 150
    page = looked.open(scene="between")
    seen = "[...document.querySelectorAll('.end')].map((one) => one.toDataURL())"
    before = page.evaluate(seen)
    page.locator("select[aria-label='to image']").select_option("3")
    after = page.evaluate(seen)
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    looked.well()


def test_the_race_s_time_is_steady(looked):
    """Steps of 40 ms that come in heaps of 1 to 8, and a pause of a second; of few steps it is what is usual."""
    page = looked.open(scene="race")
    told = page.evaluate("""import('./scenes/race.js').then(({ pace }) => {
        const own = pace(), told = [own.seconds(0.5)];
        let made = 0, late = 0;
        for (let heap = 0; heap < 80; heap++) {
            if (heap === 50) late = 1000;
            const many = 1 + (heap * 5) % 8;
            for (let i = 1; i <= many; i++) own.came(made + i, 40 * (made + many) + late);
            made += many;
            told.push(own.seconds(0.5));
        }
        return told;
    })""")
    assert told[0] == 0.5
    assert all(seconds == pytest.approx(0.04, rel=0.35) for seconds in told[20:])
    assert max(told[20:]) / min(told[20:]) < 1.6


def test_dragging_and_keys_move_t(looked):
    page = looked.open(scene="forward", t=10)
    slider = page.get_by_label("t", exact=True)
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    settled(page, 7)
    assert "t=7" in page.url
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.6, 0.8, 0.999):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    page.mouse.up()
    settled(page, 20)


def test_a_drawing_is_an_image(looked):
    page = looked.open(scene="forward", t=1)
    settled(page, 1)
    page.locator(".pad").scroll_into_view_if_needed()
    pad = page.locator(".pad").bounding_box()
    page.mouse.move(pad["x"] + 20, pad["y"] + 66)
    page.mouse.down()
    page.mouse.move(pad["x"] + 110, pad["y"] + 66, steps=6)
    page.mouse.up()
    until(page, "location.hash.includes('image=own')")
    drawn = grey(page, 0).reshape(8, 8)
    assert drawn[3:5].max() > 150
    assert drawn[0].max() == drawn[7].max() == 0
    page.reload()
    settled(page, 1)
    assert torch.equal(grey(page, 0).reshape(8, 8), drawn), "it goes with the link"


def test_looking_at_the_pad_chooses_nothing(looked, subject):
    page = looked.open(scene="forward", t=1, image=3)
    settled(page, 1)
    for scene in ("draw", "forward"):
        page.locator(f"#to-{scene}").click()
    settled(page, 1)
    assert (grey(page, 0) - as_bytes(subject.x_0[3])).abs().max() <= 1
    page = looked.open(scene="draw")
    page.locator("#to-forward").click()
    settled(page, 7)
    assert (grey(page, 0) - as_bytes(subject.x_0[0])).abs().max() <= 1


def test_a_schedule_is_dragged_saved_and_read(looked, subject, tmp_path):
    page = looked.open(scene="schedule")
    until(page, "document.querySelector('#stage .body').dataset.total")
    before = float(page.evaluate("document.querySelector('#stage .body').dataset.total"))
    handle = page.locator(".handle").nth(3)
    handle.focus()
    page.keyboard.press("PageDown")
    until(page, f"Math.abs(document.querySelector('#stage .body').dataset.total - {before}) > 1e-6")
    with page.expect_download() as waiting:
        page.get_by_text("save for --schedule").click()
    waiting.value.save_as(tmp_path / "mine.json")
    _, mine = find(str(tmp_path / "mine.json"))
    wanted = float(subject.model.schedule.log_snr[1:].quantile(0.5)) - 2
    assert float(mine.log_snr[10:12].mean()) == pytest.approx(wanted, abs=0.2)
    assert mine.T == 20


def test_the_bound_at_one_t(looked, subject):
    page = looked.open(scene="bound", t=4)
    settled(page, 4)
    assert page.locator(".costly .line").count() == 7
    own = [float(text.replace("−", "-")) for text in page.locator(".costly b").all_text_contents()]
    assert own == sorted(own, reverse=True)
    assert number(page, "costliest") == own[0]


@pytest.mark.parametrize(
    ("theme", "language", "width"), [pytest.param("light", "en", 1280, marks=LONG), ("dark", "ko", 390)]
)
@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_opens(opened, of_a_run, scene, theme, language, width):
    """In the themes and languages, on a screen and a phone: nothing is wider than it, and every text is told in Korean."""
    looked = Looked(opened, of_a_run, viewport={"width": width, "height": 800})
    page = looked.open(scene=scene, theme=theme, lang=language)
    assert page.locator("nav [aria-current]").get_attribute("id") == f"to-{scene}"
    page.wait_for_timeout(300)
    assert page.evaluate(SCROLLS)
    assert page.evaluate("import('./words.js').then((words) => [...words.untold])") == []
    assert page.evaluate(UNNAMED) == 0
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    rules = "{rules: {'skip-link': {enabled: false}}}"  # it takes the scenes' addresses for places in the page
    found = page.evaluate(f"axe.run({rules}).then({VIOLATIONS})")
    assert found == []
    looked.well()


@pytest.mark.parametrize("scene", [SCENES[0], *(pytest.param(scene, marks=LONG) for scene in SCENES[1:])])
def test_random_gestures(opened, of_a_run, scene):
    """Keys, clicks and drags anywhere in the scene."""
    looked, draw = Looked(opened, of_a_run), random.Random(scene)
    page = looked.open(scene=scene)
    page.wait_for_timeout(200)
    for _ in range(50):
        kind = draw.choice(["click", "key", "drag"])
        x, y = draw.uniform(40, 1200), draw.uniform(150, 880)
        if kind == "key":
            page.keyboard.press(draw.choice(["Tab", "ArrowUp", "ArrowDown", "PageUp", "Enter", "Space"]))
        elif kind == "click" and not page.evaluate(
            f"document.elementFromPoint({x}, {y})?.closest('a, .file, .code, button:last-of-type')"
        ):
            page.mouse.click(x, y)
        elif kind == "drag":
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(draw.uniform(40, 1200), y + draw.uniform(-60, 60), steps=3)
            page.mouse.up()
    page.wait_for_timeout(200)
    looked.well()


def test_the_file_that_a_browser_is_given_leads_to_the_page(opened, site):
    """Though it is another site's: a cookie that is strict is not sent with a redirect that began there."""
    context = opened.new_context()
    page = context.new_page()
    with leading_to(site.url) as path:
        page.goto(path.as_uri())
        page.wait_for_selector("#stage .body > *")
    assert page.url.split("#")[0] == site.url.split("?")[0]
    (cookie,) = context.cookies()
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == (
        f"ddpm-{urlsplit(site.url).port}",
        "Strict",
        True,
    )
    context.close()


def test_the_skip_link_keeps_what_is_shown(looked):
    page = looked.open(scene="schedule", theme="dark", keep=5)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "stage"
    assert "keep=5" in page.url
    page.locator(".handle").nth(2).focus()
    page.keyboard.press("ArrowRight")
    assert "scene=schedule" in page.url


def test_a_link_that_is_pasted_shows_its_own(looked):
    """In a page that is open, the same scene with another t, and the way back."""
    page = looked.open(scene="forward", t=3)
    settled(page, 3)
    page.evaluate("location.hash = '#scene=forward&t=9&lang=ko'")
    settled(page, 9)
    assert page.locator("h2").text_content() != "Forward and back"
    page.go_back()
    settled(page, 3)
    assert page.locator("h2").text_content() == "Forward and back"
