"""The exact world in Chromium: handles, t and particles by hand, its numbers against `ddpm.analytic`, and gestures at random."""

import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
import torch

import ddpm
from ddpm.analytic import quadrature
from ddpm.analytic.mixture import mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.schedule import SCHEDULES
from ddpm.diffusion.variance import FixedLarge
from ddpm.explorer.guard import HOST
from ddpm.explorer.subject import GIVEN, Subject
from tests.harness.served import served

SLIDE = """(one, share) => {
  one.value = +one.min + share * (one.max - one.min);
  one.dispatchEvent(new Event("input"));
}"""
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A page that is served, with the model of the package."""
    model = ddpm.load("ddpm:mnist")
    with served(Subject(model, torch.zeros(1, *model.shape), torch.full((1,), -1), GIVEN)) as site:
        yield site.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; a machine without it skips, CI may not."""
    if not os.path.exists(CHROMIUM):
        assert not os.environ.get("DDPM_CI"), "CI must have Chromium"
        pytest.skip("needs Chromium (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def scene(address: str, browser: Any) -> Iterator[Any]:
    """A function that opens the scene with what the address is to say; at the end nothing may have gone wrong in the page."""
    context, wrong = browser.new_context(viewport={"width": 1100, "height": 1000}), []
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith(f"http://{HOST}:") else None
    )
    page.goto(address)

    def opened(said: str) -> Any:
        page.goto(f"{page.url.split('#')[0]}#scene=world&{said}")
        page.reload()
        page.wait_for_selector(".body[data-drawn]")
        return page

    yield opened
    assert page.is_hidden("#trouble"), page.text_content("#trouble")
    context.close()
    assert wrong == []


def drag(page: Any, selector: str, right: float, down: float) -> None:
    """Take hold of the middle of an element, and move it."""
    box = page.locator(selector).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in (0.3, 0.7, 1):
        page.mouse.move(x + part * right, y + part * down)
    page.mouse.up()


def settled(page: Any) -> dict[str, str]:
    """What the address says once it does not change any more."""
    page.wait_for_timeout(350)
    if page.locator(".w-numbers").count():
        page.wait_for_selector(".w-numbers[data-complete=true]")
    return {name: values[0] for name, values in parse_qs(page.url.split("#")[1]).items()}


def number(text: str) -> float:
    """As it is shown."""
    return float(text.replace("−", "-").removeprefix("≈ "))


def line_of(said: dict[str, str]) -> Diffused:
    """The world of an address, on a line."""
    components = [[float(one) for one in part.split("_")] for part in said["w-line"].split("*")]
    weights, means, deviations = torch.tensor(components, dtype=torch.float64).T
    return Diffused(
        mixture(weights, means[:, None], deviations[:, None, None] ** 2),
        SCHEDULES[said["w-schedule"]](int(said["w-T"])),
    )


def test_numbers_after_drags(scene):
    """The data, x_t and t moved by mouse and keys: the facts of the page are those of the library for what the address says."""
    page = scene("w-T=10&w-t=4&w-schedule=log-snr")
    drag(page, ".handle.component-0:not(.side)", 40, 25)
    drag(page, ".handle.component-1.side", 20, 0)
    drag(page, ".w-origin", -60, 0)
    drag(page, ".w-here", 30, 0)
    page.get_by_role("slider", name="t", exact=True).focus()
    page.keyboard.press("ArrowRight")
    said = settled(page)
    assert (
        said["w-t"] == "5"
        and said["w-line"] != "0.5_-1_0.2*0.5_1_0.2"
        and float(said["w-x0"]) < 0.9
        and float(said["w-xt"]) > 0.2
    )

    known, t, x_t = line_of(said), 5, torch.tensor([[float(said["w-xt"])]]).double()
    kernel = known.reverse(x_t, t)
    errors = quadrature.mmse(known)
    expected = {
        "entropy H(x_t)": quadrature.entropy(known.marginal(t)),
        "entropy of the data, H(x₀)": quadrature.entropy(known.data),
        "the first, averaged over x_t": quadrature.kernel_from_gaussian(known, t),
        "its excess, L − H(x₀)": quadrature.excess(known, FixedLarge(), errors),
        "of it at T: KL from q(x_T) to N(0, 1)": quadrature.from_standard(known.marginal(10)),
    }
    shown = {
        fact.locator("span").text_content(): number(fact.locator("b").text_content())
        for fact in page.locator(".fact").all()
    }
    for name, value in expected.items():
        assert shown[name] == pytest.approx(value, abs=1e-3), name
    held = page.evaluate("({...document.querySelector('.w-numbers').dataset})")
    assert float(held["mean"]) == pytest.approx(float(kernel.expectation), abs=1e-3)
    assert float(held["variance"]) == pytest.approx(float(kernel.covariance), abs=1e-3)


def test_address_shows_the_same_again(scene):
    """A link to a world shows its numbers, and what it was."""
    link = "w-T=250&w-schedule=cosine&w-t=100&w-variance=optimal&w-paths=ddim&w-arrows=no&w-xt=-0.7&w-x0=-0.5&w-seed=7"
    link += "&w-line=0.3_-1_0.1*0.7_1.2_0.4"
    page = scene(link)
    drag(page, ".w-origin", 10, 0)
    said = settled(page)
    assert {name for name, value in parse_qs(link).items() if said[name] != value[0]} == {"w-x0"} and -0.5 < float(
        said["w-x0"]
    ) < 0
    shown = page.locator(".facts").inner_text()
    again = scene("&".join(f"{name}={value}" for name, value in said.items() if name != "scene"))
    assert settled(again) == said
    assert again.locator(".facts").inner_text() == shown


def test_particles(scene):
    """By play from noise to data; every sampler's particles end on the components."""
    page = scene("w-dims=2&w-T=10&w-t=10")
    page.get_by_role("button", name="play").click()
    page.wait_for_selector(".w-square[data-t='9']")
    page.get_by_role("button", name="stop").click()
    page.get_by_role("slider", name="t", exact=True).fill("0")
    page.wait_for_selector(".w-square[data-t='0']")
    assert page.locator(".w-small").count() == 3
    for sampler in ("langevin", "ddim", "ancestral"):
        page.wait_for_selector(f".w-small[data-sampler={sampler}][data-t='0']")
    for sampler in ("langevin", "ddim", "ancestral"):
        page.locator(f"[data-sampler={sampler}]").click()
        page.wait_for_timeout(150)
        counts = [int(text.split()[0]) for text in page.locator(".w-share span").all_text_contents()]
        assert len(counts) == 3 and abs(sum(counts) - 300) <= 2 and min(counts) > 20
    drag(page, ".w-square .handle.component-2:not(.side)", 30, -40)
    said = settled(page)
    assert said["w-t"] == "0" and said["w-sampler"] == "ancestral"
    x, y = said["w-plane"].split("*")[2].split("_")[1:3]
    assert (float(x), float(y)) != (0.2, -0.9)


def test_without_motion(address, browser):
    """Whoever wants less motion steps by hand."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    page.goto(f"{page.url}#scene=world&w-dims=2&w-T=10&w-t=10")
    page.reload()
    page.get_by_role("button", name="one step").click()
    page.wait_for_selector(".w-square[data-t='9']")
    assert page.get_by_role("button", name="play").is_hidden()
    context.close()


def test_finger_on_a_phone(address, browser):
    """A finger drags a handle downwards where it would else scroll; nothing is wider than the phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(address)
    page.goto(f"{page.url}#scene=world&w-dims=2")
    page.reload()
    handle = page.locator(".w-square .handle.component-1:not(.side)")
    handle.scroll_into_view_if_needed()
    box, width = handle.bounding_box(), page.locator(".w-square").bounding_box()["width"]
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touches = context.new_cdp_session(page)
    touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for part in range(1, 9):
        touches.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y + 10 * part}]})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    fell = 0.8 - float(settled(page)["w-plane"].split("*")[1].split("_")[2])
    assert fell == pytest.approx(80 * 2 * 2.7 / width, abs=0.02)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.long
@pytest.mark.parametrize("dims", [1, 2])
def test_gestures_at_random(scene, dims):
    """Fifty: drags, keys, choices, buttons. Nothing breaks, the page still answers at its end."""
    page, chance = scene(f"w-dims={dims}"), random.Random(dims)
    for _ in range(50):
        handles = page.query_selector_all(".body .handle")
        kind = chance.choice(["drag", "drag", "keys", "choice", "button", "slider"])
        if kind == "drag":
            box = chance.choice([one for one in handles if one.is_visible()]).bounding_box()
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            page.mouse.down()
            for _ in range(3):
                page.mouse.move(chance.uniform(0, 1100), chance.uniform(0, 1000))
            page.mouse.up()
        elif kind == "keys":
            chance.choice(handles).evaluate("(one) => one.focus()")
            page.keyboard.press(
                chance.choice(["ArrowLeft", "ArrowUp", "Shift+ArrowRight", "ArrowDown", "+", "-", "Delete"])
            )
        elif kind == "choice":
            select = chance.choice(page.locator(".body select").all())
            values = select.locator("option").evaluate_all("all => all.map((one) => one.value)")
            if select.get_attribute("aria-label") != "data":
                select.select_option(chance.choice(values))
        elif kind == "button":
            pressed = [one for one in page.locator(".body button:visible").all() if one.is_enabled()]
            chance.choice(pressed).click()
        else:
            sliders = [one for one in page.locator(".body input[type=range]").all() if one.is_enabled()]
            chance.choice(sliders).evaluate(SLIDE, chance.random())
    said = settled(page)
    name = "w-line" if dims == 1 else "w-plane"
    assert re.fullmatch(r"[-\d._*]+", said[name])
    begun = time.monotonic()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert time.monotonic() - begun < 5
