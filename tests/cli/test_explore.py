"""`ddpm explore`: what is opened, and what is said of it."""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import webbrowser
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from ddpm.explorer import server
from ddpm.explorer.subject import Begun, Subject
from tests.harness.commands import young_copy

pytestmark = pytest.mark.slow


@pytest.fixture
def sites(monkeypatch):
    """Those that would have been served: they say their address, and end."""
    found = []

    def run(site):
        found.append(site)
        site._ready(site.url)
        site.worker.close()
        site._listening.close()

    monkeypatch.setattr(server.Site, "run", run)
    return found


@pytest.fixture
def young(run, tmp_path):
    """A run before its first checkpoint."""
    return young_copy(run, tmp_path / "young")


def test_a_run_without_a_checkpoint_is_opened(ddpm, sites, young):
    said = ddpm("explore", young, "--no-browser", "--language", "en")
    assert (said.code, said.out.split("?")[0]) == (0, f"{young}: {sites[0].url.split('?')[0]}")
    assert "no checkpoint yet" in said.err
    assert isinstance(sites[0].followed.now, Begun)
    assert "체크포인트가 생기면" in ddpm("explore", young, "--no-browser", "--language", "ko").err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--weights", "nothing"), "unknown weights"),
        (("--device", "abacus"), "abacus"),
        (("--set", "x"), "x"),
        (("--set", "training.steps=3"), "training.steps"),
        (("--set", "process.limit=none-such"), "none-such"),
        (("--variance", "none-such"), "none-such"),
        (("--precision", "fp7"), "fp7"),
        (("--data", "none-such"), "none-such"),
        (("--export", "page.html"), "no checkpoint yet"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_checkpoint(ddpm, sites, young, flags, words):
    said = ddpm("explore", young, *flags, "--language", "en")
    assert (said.code != 0, words in said.err, sites) == (True, True, [])


def test_a_run_is_followed_and_a_model_is_not(ddpm, sites, run):
    ddpm("explore", run, "--no-browser")
    ddpm("explore", "ddpm:mnist", "--no-browser")
    assert [site.followed.newer is None for site in sites] == [False, True]
    run = sites[0].followed
    assert isinstance(run.now, Subject)
    assert run.newer(run.now).x_0 is run.now.x_0


def test_the_token_is_not_what_a_browser_is_started_with(ddpm, sites, run, monkeypatch):
    """It is in a file that nobody else can read, as long as the page is served."""
    opened, seen = queue.Queue(), []
    monkeypatch.setattr(webbrowser, "open", opened.put)
    served = server.Site.run

    def looked(site):
        served(site)
        address = opened.get(timeout=10)
        file = Path(url2pathname(urlsplit(address).path))
        seen.append((address, file, file.stat().st_mode & 0o777, file.read_text()))

    monkeypatch.setattr(server.Site, "run", looked)
    assert ddpm("explore", run).code == 0
    ((address, file, mode, text),) = seen
    token = sites[0].url.split("token=")[1]
    assert (address.startswith("file://"), token in address, mode) == (True, False, 0o600)
    assert f"url={sites[0].url.replace('/?', '/enter?')}" in text
    assert not file.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_token_behind(run, tmp_path, number):
    """The file with it is deleted however the command is ended, and it ends as others do."""
    place = tmp_path / "place"
    place.mkdir()
    environment = {**os.environ, "TMPDIR": str(place), "BROWSER": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ddpm", "explore", str(run), "--language", "en"]
    # The tests themselves may run where SIGHUP is ignored, by nohup: what is begun from there would ignore it too.
    heard = partial(signal.signal, number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heard) as process:  # noqa: PLW1509
        try:
            said = ""
            while "open the address yourself" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            assert [path.suffix for path in place.iterdir()] == [".html"]
            process.send_signal(number)
            assert process.wait(30) == (0 if number == signal.SIGINT else -number)
        finally:
            process.kill()
    assert list(place.iterdir()) == []


def test_a_file_that_cannot_be_written_ends_nothing(ddpm, sites, run, monkeypatch):
    """The address is printed, and the browser is not opened."""
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(tempfile, "mkstemp", _no_room)
    english, korean = (ddpm("explore", run, "--language", language) for language in ("en", "ko"))
    assert (english.code, korean.code, opened) == (0, 0, [])
    assert "No space left" in english.err
    assert "open the address yourself" in english.err
    assert "주소를 직접 여세요" in korean.err
    assert "token=" in english.out


def _no_room(**_how):
    raise OSError(28, "No space left on device")
