"""The explorer's page, served by a thread while a test looks at it."""

import http.client
import json
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

from ddpm.cli.terminal.speech import in_language
from ddpm.explorer.followed import Followed
from ddpm.explorer.server import Site, listen
from ddpm.explorer.worker import DONE


@contextmanager
def served(subject, newer=None, port=0):
    """A site that answers; `newer` as of `Followed`."""
    up = threading.Event()
    site = Site(Followed(subject, newer), listen(port), lambda _url: up.set(), in_language)
    thread = threading.Thread(target=site.run, daemon=True)
    thread.start()
    assert up.wait(20)
    try:
        yield site
    finally:
        site.stop()
        thread.join(20)
        assert not thread.is_alive()


class Visitor:
    """Someone who opened the address, or did not."""

    def __init__(self, site, *, allowed=True):
        self.port = urlsplit(site.url).port
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = ""
        if allowed:
            answer = self.get(urlsplit(site.url).path + "?" + urlsplit(site.url).query)
            assert answer.status == 303
            self.cookie = answer.headers["set-cookie"].split(";")[0]

    def request(self, method, path, body=None, **headers):
        """Send it, and read all of the answer: `.status`, `.headers`, `.text`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        usual = {"Host": self.host, "Cookie": self.cookie, "Content-Type": "application/json"}
        connection.request(
            method, path, body, {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}
        )
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        connection.close()
        return answer

    def get(self, path, **headers):
        """GET."""
        return self.request("GET", path, **headers)

    def ask(self, name, **parameters):
        """The answers of an ask, all of them."""
        answer = self.request("POST", f"/ask/{name}", json.dumps(parameters))
        assert answer.status == 200, answer.text
        events = [part.removeprefix("data: ") for part in answer.text.split("\n\n") if part.startswith("data: ")]
        *answers, last = [json.loads(event) for event in events]
        assert last == DONE or "error" in last
        return answers if last == DONE else [*answers, last]
