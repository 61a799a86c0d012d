"""The scenes "draw" and "race" in a real browser: what they show is what the library draws."""

import random
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.explorer.subject import GIVEN, Subject
from tests.explorer.conftest import tiny
from tests.harness.browser import Looked, browser, until
from tests.harness.served import served

pytestmark = pytest.mark.slow
QUIET = {"progress": False}
PIXELS = """canvas => { const { width, height } = canvas;
  return [height, width, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]] }"""
UNTOLD = "import('./words.js').then((words) => [...words.untold])"


@pytest.fixture(scope="module")
def opened():
    with browser() as found:
        yield found


@pytest.fixture
def visit(opened, site):
    """Opens a scene in a page of its own, `visit(width=390, scene="draw")`; at the end nothing has gone wrong on any."""
    pages = []

    def visited(width=1280, **state):
        looked = Looked(opened, site, viewport={"width": width, "height": 900}, reduced_motion="reduce")
        pages.append(looked)
        return looked.open(**state)

    yield visited
    for looked in pages:
        looked.well()


def pixels(canvas):
    """(H, W, 3) of what is painted."""
    height, width, flat = canvas.evaluate(PIXELS)
    return np.array(flat, dtype=np.int16).reshape(height, width, 4)[..., :3]


def painted(x):
    """What the page paints of an image in [-1, 1]."""
    return ((x[0].double() + 1) * 127.5).round().clamp(0, 255).numpy()


def shown(page, images):
    """The samples of the page are these images; one grey value may be rounded otherwise."""
    canvases = page.locator(".samples canvas")
    assert canvases.count() == len(images)
    for i, image in enumerate(images):
        assert np.abs(pixels(canvases.nth(i))[..., 0] - painted(image)).max() <= 1


def stroke(page, *places):
    box = page.locator(".easel").bounding_box()
    at = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for place in at[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def done(page):
    page.wait_for_selector("main [data-state=done]")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).fragment).items()}


def on_levels(grey):
    """An image of 17 levels, (1, 8, 8), from its grey values 0..255."""
    return torch.from_numpy(np.round(grey / 255 * 16) / 8 - 1).float()[None]


def around(how):
    """Options of `inpaint` for what the address says."""
    steps = int(how["steps"])
    chain = {"sampler": how["sampler"], "steps": steps, "seed": int(how.get("seed", 0))}
    return {"method": "ddnm", "resamplings": int(how["again"]), "jump": max(1, int(steps / 4 + 0.5)), **chain, **QUIET}


def test_a_drawing_is_completed(visit, subject):
    """One stroke and one key. A link to it shows the same drawing and the same images again."""
    page = visit(scene="draw")
    stroke(page, (0.3, 0.2), (0.7, 0.2), (0.7, 0.4))
    assert page.locator(".big").text_content() == "complete it"
    page.keyboard.press("Enter")
    how = done(page)
    grey = pixels(page.locator(".easel"))[..., 0]
    known = torch.nn.functional.max_pool2d(torch.from_numpy(grey > 0.15 * 255).float()[None, None], 3, 1, 1)
    own = subject.model.inpaint(on_levels(grey), known[0, 0] == 0, 4, **around(how)).tensor
    shown(page, own)
    assert own.std(dim=0).max() > 0.1
    again = visit(**how)
    done(again)
    assert np.array_equal(pixels(again.locator(".easel"))[..., 0], grey)
    shown(again, own)
    page.keyboard.press("Control+z")
    assert page.locator(".big").is_disabled()
    assert pixels(page.locator(".easel")).max() == 0


def test_a_hole_is_filled(visit, subject):
    page = visit(scene="draw", image=3, count=2)
    page.get_by_role("button", name="hole", exact=True).click()
    stroke(page, (0.2, 0.7), (0.8, 0.7))
    page.get_by_role("button", name="fill the hole").click()
    how = done(page)
    seen = pixels(page.locator(".easel"))
    hole = torch.from_numpy(seen[..., 0] != seen[..., 2])
    assert 5 <= int(hole.sum()) <= 24
    shown(page, subject.model.inpaint(subject.x_0[3], hole, 2, **around(how)).tensor)


def test_an_image_comes_back_from_its_x_t(visit, subject):
    page = visit(scene="draw", count=3, seed=5)
    page.locator(".thumb").nth(2).click()
    page.get_by_label("t", exact=True).fill("12")
    page.get_by_label("sampler").select_option("ddim")
    page.get_by_role("button", name="denoise it").click()
    how = done(page)
    assert (how["image"], how["t"], how["sampler"]) == ("2", "12", "ddim")
    steps = min(int(how["steps"]), 12)
    own = subject.model.edit(subject.x_0[2], 3, timestep=12, sampler="ddim", steps=steps, seed=5, **QUIET)
    shown(page, own.tensor)


def test_the_pad_by_keys(visit):
    """Arrows and Space draw; they do not change the scene. In Korean, on a phone."""
    page = visit(390, scene="draw", lang="ko", theme="dark")
    page.locator(".easel").focus()
    for key in ("Space", *["ArrowRight"] * 3, "Space", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    how = done(page)
    assert how["scene"] == "draw"
    assert (pixels(page.locator(".easel"))[2] > 200).sum() >= 2 * 3
    assert page.locator(".big").text_content() == "완성하기"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(UNTOLD) == []


def test_the_race_on_a_phone(visit):
    page = visit(390, scene="race", lang="ko", theme="dark")
    page.keyboard.press("Enter")
    done(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(UNTOLD) == []


def test_what_was_drawn_elsewhere_is_on_the_pad(visit, subject):
    """An image that was chosen in another scene, and a drawing of its small pad; and back."""
    page = visit(scene="draw")
    stroke(page, (0.3, 0.2), (0.7, 0.2))
    page.locator("#to-forward").click()
    page.locator(".thumb").nth(4).click()
    page.locator("#to-draw").click()
    until(page, "document.querySelector('.easel')")
    assert np.abs(pixels(page.locator(".easel"))[..., 0] - painted(subject.x_0[4])).max() <= 1
    page.locator("#to-forward").click()
    page.locator(".pad").click()
    small = pixels(page.locator(".pad"))
    page.locator("#to-draw").click()
    until(page, "document.querySelector('.easel')")
    assert small.max() > 100
    assert np.array_equal(pixels(page.locator(".easel")), small)


def test_everything_on_the_pad_is_taken_back(visit, subject):
    """Strokes of pen, rubber and hole; a thumbnail and "clear", which take all away, by the button and by Ctrl-Z."""
    page, back = visit(scene="draw"), lambda: page.keyboard.press("Control+z")
    undo, seen = page.get_by_role("button", name="undo"), lambda: pixels(page.locator(".easel")).tolist()
    assert undo.is_disabled()
    after = [seen()]
    for tool, places in (("pen", (0.2, 0.7)), ("rubber", (0.4, 0.5)), ("hole", (0.6, 0.9))):
        page.get_by_role("button", name=tool, exact=True).click()
        stroke(page, *((place, 0.4) for place in places))
        after.append(seen())
    page.locator(".thumb").nth(2).click()
    after.append(seen())
    assert np.array_equal(pixels(page.locator(".easel"))[..., 0], painted(subject.x_0[2]))
    stroke(page, (0.1, 0.9), (0.9, 0.9))
    after.append(seen())
    page.get_by_role("button", name="clear", exact=True).click()
    assert pixels(page.locator(".easel")).max() == 0
    for number in (4, 1):
        after.append(seen())
        page.locator(".thumb").nth(number).click()
    assert len({str(one) for one in after}) == 7
    for number, wanted in enumerate(reversed(after)):
        back() if number % 2 else undo.click()
        assert seen() == wanted
        assert ("image=4" in page.url, "image=2" in page.url) == (number == 0, number == 3)
    assert undo.is_disabled()
    page.keyboard.press("Control+z")
    assert seen() == after[0]


def test_undo_with_the_pen_down(visit):
    """It takes back the stroke that is being drawn, which does not come again."""
    page, seen = visit(scene="draw"), lambda: pixels(page.locator(".easel")).tolist()
    empty = seen()
    stroke(page, (0.2, 0.2), (0.8, 0.2))
    one = seen()
    box = page.locator(".easel").bounding_box()
    at = [(box["x"] + share * box["width"], box["y"] + 0.7 * box["height"]) for share in (0.2, 0.5, 0.8)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1])
    page.keyboard.press("Control+z")
    assert seen() == one
    page.mouse.move(*at[2])
    page.mouse.up()
    assert seen() == one
    page.keyboard.press("Control+z")
    assert seen() == empty


def test_what_was_before_is_kept_while_the_page_lives(visit, subject):
    """The scene is left and opened anew, and another image is chosen meanwhile: undo goes back through all of it."""
    page, seen = visit(scene="draw"), lambda: pixels(page.locator(".easel")).tolist()
    undo = page.get_by_role("button", name="undo")
    stroke(page, (0.2, 0.4), (0.8, 0.4))
    after = [seen()]
    page.locator(".thumb").nth(2).click()
    after.append(seen())
    page.locator("#to-forward").click()
    page.locator(".thumb").nth(4).click()
    page.locator("#to-draw").click()
    until(page, "document.querySelector('.easel')")
    assert np.abs(pixels(page.locator(".easel"))[..., 0] - painted(subject.x_0[4])).max() <= 1
    for wanted in reversed(after):
        undo.click()
        assert seen() == wanted
    undo.click()
    assert undo.is_disabled()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_opened_in_its_colours(opened, channels, tmp_path):
    """By a model of colours; a model of grey sees its luminance. A stroke of the small pad leaves the rest as it is."""
    colours = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "mine.png")
    model = tiny(shape=(channels, 8, 8))
    of = Subject(model, torch.zeros(2, channels, 8, 8), torch.full((2,), -1), GIVEN)
    with served(of) as site:
        looked = Looked(opened, site)
        page = looked.open(scene="forward", t=1)
        page.locator(".chooser input[type=file]").set_input_files(tmp_path / "mine.png")
        until(page, "location.hash.includes('image=own')")
        grey = np.asarray(Image.fromarray(colours).convert("L"))
        wanted = colours if channels == 3 else np.repeat(grey[..., None], 3, axis=2)
        assert np.abs(pixels(page.locator("#stage figure canvas").first) - wanted.astype(int)).max() <= 1
        pad = page.locator(".pad")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        page.mouse.click(box["x"] + 3.5 / 8 * box["width"], box["y"] + 0.5 / 8 * box["height"])
        seen = pixels(pad)
        assert seen[0, 3].min() > 250
        assert np.abs(seen[3:] - wanted[3:].astype(int)).max() <= 1
        looked.well()


def test_the_race(visit, subject):
    """Distances of what the samplers end at, to what all steps of DDIM end at."""
    page = visit(scene="race", seed=4, racers="ddim.5_dpm-solver.10_heun.3")
    page.get_by_role("button", name="start").click()
    done(page)
    model = subject.model
    end = model.sample(1, sampler="ddim", seed=4, **QUIET).tensor
    shown_at = page.locator(".race").evaluate("stage => JSON.parse(stage.dataset.distances)")
    for i, (sampler, steps) in enumerate((("ddim", 5), ("dpm-solver", 10), ("heun", 3))):
        own = model.sample(1, sampler=sampler, steps=steps, seed=4, **QUIET).tensor
        assert np.abs(pixels(page.locator(".lane canvas").nth(i))[..., 0] - painted(own[0])).max() <= 1
        assert shown_at[i] == pytest.approx(127.5 * float((own - end).square().mean().sqrt()), abs=1e-3)
    evaluations = page.locator(".lane .numbers b").all_text_contents()[::2]
    assert evaluations == ["5", "10", "5"]
    page.get_by_role("button", name="remove racer 1").click()
    assert page.locator(".lane").count() == 2


@pytest.mark.long
@pytest.mark.parametrize("scene", ["draw", "race"])
def test_any_gestures_leave_no_error(visit, scene):
    """50 of them, of a fixed seed, while chains are drawn."""
    page, choose = visit(scene=scene), random.Random(7)
    for _ in range(50):
        kind = choose.choice(["click", "slide", "choose", "stroke", "key"])
        found = {"click": ".body button:enabled", "slide": ".body input[type=range]:visible", "choose": ".body select"}
        things = page.locator(found.get(kind, ".easel"))
        if things.count() == 0:
            continue
        one = things.nth(choose.randrange(things.count()))
        if kind == "click":
            one.click()
        elif kind == "slide":
            one.fill(choose.choice([one.get_attribute("min"), one.get_attribute("max")]))
        elif kind == "choose":
            one.select_option(index=choose.randrange(one.locator("option").count()))
        elif kind == "stroke":
            stroke(page, *((choose.random(), choose.random()) for _ in range(3)))
        else:
            one.press(choose.choice(["Enter", "Space", "ArrowDown", "Control+z"]))
    page.wait_for_timeout(100)
