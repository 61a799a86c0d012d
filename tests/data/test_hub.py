"""Data sets of the Hugging Face hub: from a small hub of our own, on this machine."""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
import torch
from huggingface_hub import constants

from ddpm.data import hub
from ddpm.data.sources import open_both, open_source
from ddpm.errors import NotFound, StorageError, Unavailable, UsageError
from tests.data.pictures import fill
from tests.data.test_shards import packed

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
        api, _, rest = path.removeprefix("/").partition("datasets/")
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


@pytest.mark.parametrize("place", ["", "data/", "plain_text/"])
def test_a_data_set_of_the_hub_is_its_files(served, tables, tmp_path, place):
    """Tables at the top, in data/, or in the one folder that has some; pixels, labels and split as those of the files."""
    served.add("a/b", OLD, {"README.md": b"#", **{place + name: content for name, content in tables.items()}})
    images, held_out = open_both("hf:a/b")
    for found, split in ((images, "train"), (held_out, "test")):
        local = open_source(str(tmp_path / split), "all")
        assert torch.equal(found.images, local.images)
        assert found.labels.tolist() == local.labels.tolist()
        assert found.classes == ("cats", "dogs")
    assert served.asked["resolve"] == 4  # of each table, where it is and what it holds; the README is not asked for


def test_what_is_there_is_not_asked_for_again(served, tables):
    """Under the name of its commit it is read without the hub."""
    served.add("a/b", OLD, tables)
    source = hub.pinned("hf:a/b")
    assert source == f"hf:a/b@{OLD}"
    first = open_source(source)
    served.asked.clear()
    assert torch.equal(open_source(source).images, first.images)
    assert not served.asked
    served.sets.clear()
    served.newest.clear()
    assert torch.equal(open_source(source).images, first.images)


def test_a_name_is_the_newest_and_a_commit_stays(served, tables):
    served.add("a/b", OLD, {"x/" + name: content for name, content in tables.items()})
    began = hub.pinned("hf:a/b")
    assert began == f"hf:a/b@{OLD}/x"
    served.add("a/b", NEW, {"train.parquet": tables["test-00000-of-00001.parquet"]})
    assert hub.pinned("hf:a/b") == f"hf:a/b@{NEW}"
    assert hub.pinned(began) == began
    assert (len(open_source(began)), len(open_source("hf:a/b", "all"))) == (12, 4)
    assert hub.same(began, "hf:a/b")
    assert hub.same(began, "hf:a/b/x")
    assert not hub.same(began, "hf:a/b/y")
    assert not hub.same(began, "hf:a/c")
    assert not hub.same(began, f"hf:a/b@{NEW}")
    assert not hub.same("digits", "hf:a/b")


def test_what_cannot_be_had(served, tables, monkeypatch):
    served.add("a/b", OLD, {f"{folder}/{name}": content for folder in "xyz" for name, content in tables.items()})
    served.add("a/empty", OLD, {"README.md": b"#"})
    with pytest.raises(NotFound, match="several data sets") as failure:
        open_source("hf:a/b")
    assert failure.value.hints == ("give one of them: hf:a/b/x, hf:a/b/y, hf:a/b/z",)
    assert len(open_source("hf:a/b/y")) == 12
    with pytest.raises(NotFound, match="no images in 'hf:a/empty'"):
        open_source("hf:a/empty")
    with pytest.raises(NotFound, match="no such data set on the hub, or none for you: 'hf:a/none'"):
        open_source("hf:a/none")
    with pytest.raises(NotFound, match=f"no such data set on the hub, or none for you: 'hf:a/b@{NEW}'"):
        open_source(f"hf:a/b@{NEW}")
    for wrong in ("hf:", "hf:a/b/../c", "hf:a/b@", "hf:-/x", "hf:a/b/x@y"):
        with pytest.raises(UsageError, match="no name of a data set on the hub"):
            open_source(wrong)
    monkeypatch.setattr(hub, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="needs huggingface_hub") as missing:
        open_source("hf:a/b/y")
    assert missing.value.hints == ("pip install 'ddpm[hub]'",)


def test_without_a_network_or_a_disk(monkeypatch, tmp_path, served, tables):
    served.add("a/b", OLD, tables)
    full = tmp_path / "file"
    full.write_text("")
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="cannot keep what is downloaded: 'hf:a/b@"):
        patch.setattr(constants, "HF_HUB_CACHE", str(full))
        open_source("hf:a/b")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot reach the hub: 'hf:a/b'"):
        open_source("hf:a/b")


def test_names_are_written_as_they_are_read():
    for source in (
        "hf:mnist",
        "hf:a/b",
        "hf:a/b@v1",
        "hf:a/b/c/d",
        "hf:mnist@v1/c",
        "hf:a/b@refs%2Fconvert%2Fparquet/c",
    ):
        assert str(hub.parse(source)) == source
    assert hub.parse("hf:a/b@refs/convert/parquet/c") == hub.Name("a/b", "refs/convert/parquet", "c")
