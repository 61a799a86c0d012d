"""A real browser for the explorer's page: Chromium, as Debian packs it."""

import os
import shutil
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
GPU = [
    *(argument for argument in QUIET if argument != "--disable-gpu"),
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]
"""With WebGPU on any machine: SwiftShader, which comes with Debian's Chromium, is a GPU in software."""


def chromium():
    """Where it is. Its absence is an error in CI, a skip elsewhere."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("DDPM_CI"):
            pytest.fail("CI must have chromium")
        pytest.skip("needs chromium: apt-get install chromium")
    return found


@contextmanager
def browser(arguments=QUIET):
    """Open it, with no page yet."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield opened
        finally:
            opened.close()


def until(page, expression, seconds=30):
    """Wait until it holds on the page. (Playwright's own way would need eval, which the page forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


class Looked:
    """A page, and all that went wrong on it: errors, messages of the console, requests to anywhere else."""

    def __init__(self, opened, site, **settings):
        self.context = opened.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **settings})
        self.page, self.wrong, self._site = self.context.new_page(), [], site
        self.page.set_default_timeout(30_000)
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.goto(site.url)

    def _asked(self, request):
        if (
            not request.url.startswith(("data:", "blob:"))
            and urlsplit(request.url).netloc != urlsplit(self._site.url).netloc
        ):
            self.wrong.append(f"request to {request.url}")

    def open(self, **state):
        """A scene, by what stands in the address, opened anew: not the scene of before with another address."""
        self.page.goto("about:blank")
        self.page.goto(
            self._site.url.split("?")[0] + "#" + "&".join(f"{name}={value}" for name, value in state.items())
        )
        self.page.wait_for_selector("#stage .body > *")
        return self.page

    def well(self):
        """Nothing went wrong; then it is closed."""
        trouble = self.page.locator("#trouble")
        said = trouble.text_content() if trouble.is_visible() else ""
        self.context.close()
        assert (self.wrong, said) == ([], "")
