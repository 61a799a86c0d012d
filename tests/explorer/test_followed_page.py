"""The page while its run trains, and when its server goes and comes again."""

import json
import shutil
from urllib.parse import urlsplit

import pytest

from ddpm.explorer import guard
from ddpm.explorer.followed import begun, run_of
from ddpm.explorer.subject import subject_of
from tests.explorer.conftest import come
from tests.explorer.test_followed import newer
from tests.harness.browser import Looked, browser, until
from tests.harness.served import Visitor, served

pytestmark = pytest.mark.slow
TROUBLE = "!document.getElementById('trouble').hidden"
UNTOLD = "import('./words.js').then((words) => [...words.untold])"
PIXELS = "document.querySelectorAll('#stage figure canvas')[2].toDataURL()"


@pytest.fixture(scope="module")
def opened():
    with browser() as found:
        yield found


def test_a_run_before_its_first_checkpoint(opened, grown, young):
    """The training is shown; the scenes of a model say what they wait for, and open by themselves."""
    for picture in (young / "samples").iterdir():
        picture.unlink()
    with served(begun(run_of(str(young))), newer(young)) as site:
        refused = Visitor(site).request("POST", "/ask/noised", "{}", X_Language="ko")
        assert (refused.status, "아직 체크포인트가 없습니다" in refused.text) == (400, True)
        looked = Looked(opened, site)
        page = looked.open(lang="ko")
        assert page.locator("nav [aria-current]").get_attribute("id") == "to-training"
        until(page, "document.querySelector('#stage .body').dataset.last === '20'")
        assert page.locator(".fact b").first.text_content() == "20 / 20 · 모두 끝남"
        assert page.locator(".preview").is_hidden()
        page.locator("#to-forward").click()
        assert "첫 체크포인트" in page.locator(".waits").text_content()
        assert page.evaluate(UNTOLD) == []
        come(grown, young, 10)
        until(page, "document.querySelector('#stage .body').dataset.t !== undefined")
        assert "스텝 10" in page.locator("#facts").text_content()
        looked.well()


def test_a_newer_checkpoint_is_taken_up(opened, grown, young):
    """Where nobody touches the page, its scene is made of the new model; the training goes on as it was."""
    come(grown, young, 10)
    with served(subject_of(newer(young)(None).model, None, pytest.fail), newer(young)) as site:
        looked, watching = Looked(opened, site), Looked(opened, site)
        page, other = looked.open(scene="forward", t=6), watching.open(scene="training")
        until(page, "document.querySelector('#stage .body').dataset.t === '6'")
        before = page.evaluate(PIXELS)
        other.evaluate("document.querySelector('#stage .body').kept = true")
        come(grown, young, 20)
        for one in (page, other):
            until(one, "document.getElementById('facts').textContent.includes('step 20')")
        until(page, "document.querySelector('#stage .body').dataset.t === '6'")
        assert page.evaluate(PIXELS) != before
        assert other.evaluate("document.querySelector('#stage .body').kept")
        shutil.rmtree(young)
        until(page, "document.getElementById('trouble').textContent.startsWith('The run was deleted')")
        page.evaluate("document.getElementById('trouble').hidden = true")
        looked.well()
        watching.well()


def test_a_scene_at_work_is_not_opened_anew(opened, grown, young):
    """While an answer is on its way the newer model waits; then who moves by keys stays where they were."""
    come(grown, young, 10)
    with served(subject_of(newer(young)(None).model, None, pytest.fail), newer(young)) as site:
        looked = Looked(opened, site)
        page = looked.open(scene="forward", t=6)
        until(page, "document.querySelector('#stage .body').dataset.t === '6'")
        page.evaluate("document.querySelector('#stage .body').kept = true")
        page.evaluate(WITHHELD)
        page.get_by_role("button", name="other noise").focus()
        come(grown, young, 20)
        page.wait_for_timeout(8000)
        assert page.evaluate("document.querySelector('#stage .body').kept")
        page.evaluate("window.end()")
        until(page, "!document.querySelector('#stage .body').kept")
        until(page, "document.activeElement.textContent === 'other noise'")
        looked.well()


WITHHELD = """import('./backend.js').then(({ backend }) => {
  const mine = new AbortController();
  window.end = () => mine.abort();
  const { fetch } = window;
  window.fetch = (_, how) => new Promise((_, reject) => how.signal.addEventListener('abort', () => reject(how.signal.reason)));
  backend.ask('images', {}, mine.signal).next().catch(() => {});
  window.fetch = fetch;
})"""
"""An ask that is not answered, until `end`."""


def test_messages_are_in_the_language_of_the_page(opened, grown, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(grown, folder)
    with served(newer(folder)(None)) as site:
        visitor = Visitor(site)
        (folder / "config.json").unlink()
        for language, words in (
            ("ko", "run이 더는 없습니다"),
            ("en", "the run is no longer there"),
            ("x", "the run is"),
        ):
            answer = visitor.request("POST", "/ask/training", "{}", X_Language=language)
            assert words in json.loads(answer.text.split("\n")[0].removeprefix("data: "))["error"]
        looked = Looked(opened, site)
        page = looked.page
        page.goto(site.url.split("?")[0] + "#scene=training&lang=ko")
        until(page, TROUBLE)
        assert "run이 더는 없습니다" in page.locator("#trouble").text_content()


def test_a_server_that_goes_and_comes_again(opened, subject, monkeypatch):
    """At the same address the page goes on; of another one it says where to look, and goes on when that was opened."""
    monkeypatch.setattr(guard.secrets, "token_urlsafe", lambda _length: "same")
    with served(subject) as site:
        port = urlsplit(site.url).port
        looked = Looked(opened, site)
        page = looked.open(scene="forward", t=5, lang="ko")
        until(page, "document.querySelector('#stage .body').dataset.t === '5'")
    page.get_by_label("t", exact=True).fill("9")
    until(page, TROUBLE)
    assert "대답하지 않습니다" in page.locator("#trouble").text_content()
    with served(subject, port=port):
        until(page, f"!({TROUBLE}) && document.querySelector('#stage .body').dataset.t === '9'")
    monkeypatch.setattr(guard.secrets, "token_urlsafe", lambda _length: "another")
    until(page, TROUBLE)  # nobody asked for anything
    with served(subject, port=port) as site:
        until(page, "document.getElementById('trouble').textContent.includes('주소')")
        looked.context.new_page().goto(site.url)
        until(page, f"!({TROUBLE})")
        assert page.evaluate(UNTOLD) == []
