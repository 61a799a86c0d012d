"""Only the page that was opened here is answered."""

import json

import pytest

from ddpm.explorer.guard import LARGEST
from ddpm.explorer.page_files import page_files
from tests.harness.served import Visitor

PATHS = ["/", "/main.js", "/ask/model"]


@pytest.fixture(scope="module")
def visitor(site):
    return Visitor(site)


@pytest.mark.parametrize("path", PATHS)
def test_nobody_without_the_token(site, visitor, path):
    stranger = Visitor(site, allowed=False)
    assert stranger.get(path).status == 403
    assert stranger.request("POST", path, "{}").status == 403
    assert stranger.get("/?token=" + "x" * 22).status == 403
    stranger.cookie = visitor.cookie[:-1]
    assert stranger.get(path).status == 403
    assert stranger.get("/enter?token=" + "x" * 22).status == 403
    assert stranger.get("/enter").status == 403
    assert visitor.get("/").status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil.example"]
)
def test_no_other_host(visitor, host):
    """A name of another's that points here (DNS rebinding)."""
    assert visitor.get("/", Host=host).status in (400, 421)
    assert visitor.request("POST", "/ask/model", "{}", Host=host).status in (400, 421)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "file://"]
)
def test_no_other_page(visitor, origin):
    assert visitor.request("POST", "/ask/model", "{}", Origin=origin).status == 403
    assert visitor.request("POST", "/ask/model", "{}", Origin=f"http://{visitor.host}").status == 200


def test_localhost_is_this_machine(visitor):
    assert visitor.get("/", Host=f"localhost:{visitor.port}").status == 200


def test_what_is_too_large_is_not_read(visitor):
    """Whether its length is announced or not."""
    assert visitor.request("POST", "/ask/model", b"x" * (LARGEST + 1)).status == 413

    def parts():
        for _ in range(LARGEST // 2**16 + 1):
            yield b" " * 2**16

    assert visitor.request("POST", "/ask/model", parts()).status == 413
    assert visitor.get("/").status == 200


HOSTILE = [
    "/../pyproject.toml",
    "/..%2f..%2fpyproject.toml",
    "/%2e%2e/%2e%2e/pyproject.toml",
    "//etc/passwd",
    "/scenes/../../guard.py",
    "/scenes/..%5c..%5cguard.py",
    "/formulas.json",
    "/%00",
    "/main.js%00.html",
    "/__init__.py",
    "/scenes/",
    "/C:/x",
    "/ask/",
    "/ask/../main.js",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_path_leads_elsewhere(visitor, path):
    answer = visitor.get(path)
    assert answer.status in (400, 404, 405)
    assert "ddpm" not in answer.text


def test_every_file_of_the_page_is_served(visitor):
    for path, (content, kind) in page_files().items():
        answer = visitor.get(path)
        assert (answer.status, answer.text, answer.headers["content-type"]) == (200, content.decode(), kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


NO_ASKS = [b"", b"[", b"[]", b"3", b"\xff", b"[" * 10_000, json.dumps({"t": 1e400}).encode(), b'{"a": NaN}']


@pytest.mark.parametrize("body", NO_ASKS)
def test_what_is_no_ask(visitor, body):
    answer = visitor.request("POST", "/ask/noised", body)
    assert answer.status == 400
    assert len(answer.text) < 300


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_an_ask_says_that_it_is_json(visitor, kind):
    """A form of another page could send these kinds without asking the browser."""
    assert visitor.request("POST", "/ask/model", "{}", Content_Type=kind).status == 415


def test_nothing_else_is_done(visitor):
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH"):
        assert visitor.request(method, "/ask/model", "{}").status == 405
    assert visitor.request("POST", "/ask/shell", "{}").status == 400
