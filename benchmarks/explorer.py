"""How quick the explorer's page is in Chromium: the first picture, and what it takes from a drag to the answer that shows it.

`python -m benchmarks.explorer RUN ... [--drags 60]` serves each model and drags t in the first scene: milliseconds from the moving of
the slider to the painted estimate. Everything is on this machine. Needs Playwright and Debian's Chromium. Writes
benchmarks/results/explorer.json.
"""

import argparse
import random
import statistics
import time
from typing import Any

from tests.harness.browser import browser, until
from tests.harness.served import served

import ddpm
from benchmarks.machine import save
from ddpm.explorer.subject import subject_of

DRAGGED = """(t) => new Promise((done) => {
    const body = document.querySelector('#stage .body'), slider = document.querySelector('.slider input'), begun = performance.now();
    const seen = () => (body.dataset.t === `${t}` ? done(performance.now() - begun) : setTimeout(seen, 1));
    slider.value = t; slider.dispatchEvent(new Event('input')); seen();
})"""


def looked_at(run: str, drags: int, opened: Any) -> dict[str, Any]:
    """Of one model."""
    model = ddpm.load(run)
    subject = subject_of(model, None, print)
    with served(subject) as site:
        first = []
        for _ in range(3):
            page = opened.new_context().new_page()
            begun = time.perf_counter()
            page.goto(site.url)
            until(page, "document.querySelector('#stage .body')?.dataset.t !== undefined")
            first.append(time.perf_counter() - begun)
        until(page, "document.querySelector('.bits').dataset.complete === 'true'", 600)
        draw, T = random.Random(0), model.schedule.T
        spans = sorted(page.evaluate(DRAGGED, draw.randint(1, T)) for _ in range(drags))
    return {
        "network_ms": 1000 * subject.seconds,
        "first_picture_s": statistics.median(first),
        "drag_ms": {"median": statistics.median(spans), "95 %": spans[int(0.95 * len(spans))], "most": spans[-1]},
        "drags": drags,
    }


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--drags", type=int, default=60)
    options = parser.parse_args()
    with browser() as opened:
        found = {run: looked_at(run, options.drags, opened) for run in options.runs}
    print(found)
    print(save("explorer", {"runs": found}))


if __name__ == "__main__":
    main()
