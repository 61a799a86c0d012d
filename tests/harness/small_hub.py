"""A small hub of our own on this machine, and a data set for it."""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from tests.data.sources.test_shards import packed
from tests.harness.pictures import fill

OLD, NEW = "0" * 39 + "1", "0" * 39 + "2"


class Hub:
    """Data sets by name, commit and file; `commits` says which is the newest. Counts what is asked."""

    def __init__(self):
        self.sets, self.newest, self.asked = {}, {}, Counter()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, name, commit, files):
        self.sets[name, commit] = files
        self.newest[name] = commit

    def _handler(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer()

            def do_HEAD(self):
                self._answer()

            def log_message(self, *_):
                pass

            def _answer(self):
                status, headers, body = hub.answer(unquote(urlsplit(self.path).path))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        return Handler

    def answer(self, path):
        """Status, headers and body, as the hub has them."""
        kind = "models/" if path.startswith("/api/models/") else "datasets/"
        api, _, rest = path.removeprefix("/").partition(kind)
        if kind == "datasets/" and not rest:  # the files of models are at no "models/"
            api, rest = "", api
        words = rest.split("/")
        name = "/".join(words[:2])
        action, revision = (*words[2:4], "revision", "main")[:2] if len(words) > 3 else ("revision", "main")
        commit = self.newest.get(name) if revision == "main" else revision
        files = self.sets.get((name, commit))
        self.asked[action] += 1
        if files is None:
            code = "RevisionNotFound" if name in self.newest else "RepoNotFound"
            return 404, {"X-Error-Code": code}, b""
        if api == "" and action == "resolve":
            content = files["/".join(words[4:])]
            return 200, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}, content
        if action == "tree":
            found = [
                {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for file, content in files.items()
            ]
        else:
            found = {"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files]}
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


@pytest.fixture
def served(monkeypatch, tmp_path):
    one = Hub()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, one.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", one.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def tables(tmp_path):
    """A folder with two classes, and its training and test tables as the hub would have them."""
    found = {}
    for split, count, first in (("train", 12, 0), ("test", 4, 50)):
        for number, name in enumerate(("cats", "dogs")):
            fill(tmp_path / split / name, count // 2, first=first + 100 * number)
        path = packed(tmp_path / split, tmp_path / f"{split}-00000-of-00001.parquet")
        found[path.name] = path.read_bytes()
    return found
