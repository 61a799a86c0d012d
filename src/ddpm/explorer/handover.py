"""How a browser is told the address: by a file that only its owner can read, which leads there.

What a program is started with, all users of the machine can see in the list of processes; the address holds the token.
"""

import html
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ddpm.explorer.guard import ENTER

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>ddpm explore</title>
</head>
<body><a href="{url}">ddpm explore</a></body>
</html>
"""


@contextmanager
def leading_to(url: str) -> Iterator[Path]:
    """A file that leads a browser to the address, as long as this lasts; of mode 0600."""
    number, name = tempfile.mkstemp(prefix="ddpm-explore-", suffix=".html")
    path = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(PAGE.format(url=html.escape(urlsplit(url)._replace(path=ENTER).geturl())))
        yield path
    finally:
        path.unlink(missing_ok=True)
