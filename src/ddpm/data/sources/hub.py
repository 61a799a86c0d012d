"""Data sets of the Hugging Face hub, `hf:NAME`: their files are downloaded once, and then read like any others.

A name means what is there now. A run writes down the commit that it found, `hf:NAME@COMMIT`, and goes on with that one,
whatever is uploaded later.
"""

import errno
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import escape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, unquote

from ddpm.data.decoding.formats import SUFFIXES as PICTURES
from ddpm.data.decoding.formats import SUFFIXES_OF_HEIF
from ddpm.data.sources import shards
from ddpm.errors import NotFound, StorageError, Unavailable, UsageError, in_a_line

PREFIX = "hf:"
FORM = re.compile(
    r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)"
    r"(@(?=[^/])(?P<revision>refs/(convert|pr)/[^/=]+|[^/]+?)??(?P<commit>=?[0-9a-f]{40})?)?(/(?P<folder>[^/@][^@]*))?"
)
"""As the hub's own hf://datasets/OWNER/NAME@REVISION/FOLDER. REVISION=COMMIT says which commit a branch or tag once meant."""
DATA_SET = "data set"
COMMIT = re.compile(r"[0-9a-f]{40}")
SUFFIXES = (*shards.PARQUET, *shards.TARS, *sorted(PICTURES | SUFFIXES_OF_HEIF))
SEVERAL = 5
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@dataclass(frozen=True)
class Name:
    """A data set of the hub: its name there, a branch or tag (None for the newest), a commit, and a folder in it ("" for all).

    A name with a commit means the same files for ever; its branch or tag then only tells what was asked for.
    """

    name: str
    revision: str | None = None
    commit: str | None = None
    folder: str = ""

    def __str__(self) -> str:
        """As a SOURCE."""
        asked = self.revision and quote(self.revision, safe="")
        at = "=".join(part for part in (asked, self.commit) if part)
        return f"{PREFIX}{self.name}{at and '@'}{at}{self.folder and '/'}{self.folder}"


def parse(source: str, kind: str = DATA_SET) -> Name:
    """The parts of `hf:OWNER/NAME@REVISION/FOLDER`, a data set or whatever `kind` is; all but the name may be left out.

    Raises:
        UsageError: it has another form.
    """
    found = FORM.fullmatch(source)
    folder = (found["folder"] or "").strip("/") if found else ""
    if found is None or ".." in folder.split("/"):
        raise UsageError(f"no name of a {kind} on the hub: {source!r}", "hf:OWNER/NAME, hf:OWNER/NAME@REVISION/FOLDER")
    revision, commit = found["revision"], found["commit"]
    return Name(found["name"], revision and unquote(revision), commit and commit.removeprefix("="), folder)


def pinned(source: str) -> str:
    """A name of the hub with the commit that it means today; any other kind of source is returned as it is.

    Raises:
        UsageError: it is no such name, or huggingface_hub is not installed.
        NotFound: there is no such data set, or nothing in it that can be read.
        Unavailable: the hub cannot be reached.
    """
    if not source.startswith(PREFIX) or (name := parse(source)).commit:
        return source
    with asking(name):
        from huggingface_hub import HfApi  # noqa: PLC0415 (an extra, and half a second)

        found = HfApi().dataset_info(name.name, revision=name.revision)
    if not COMMIT.fullmatch(commit := str(found.sha)):
        raise Unavailable(f"the hub did not say which commit it has: {source!r}: {commit!r}")
    files = [file.rfilename for file in found.siblings or []]
    return str(replace(name, commit=commit, folder=_folder(name, files)))


def fetched(source: str) -> Path:
    """The folder with the files of `source`, in the hub's own cache ($HF_HOME). They are downloaded if they are not there.

    Raises:
        Failure: as `pinned`.
        StorageError: the disk is full or fails.
    """
    name = parse(pinned(source))
    inside = escape(f"{name.folder}/") if name.folder else ""
    patterns = [f"{inside}*{_in_any_case(suffix)}" for suffix in SUFFIXES]
    with asking(name):
        from huggingface_hub import snapshot_download, utils  # noqa: PLC0415

        if not sys.stderr.isatty():
            utils.disable_progress_bars()  # they would fill a log
        place = snapshot_download(name.name, repo_type="dataset", revision=name.commit, allow_patterns=patterns)
    return Path(place) / name.folder


def same(began: str, wanted: str) -> bool:
    """Whether `began` names the same data set as `wanted`, at a commit that it was pinned to when a run began."""
    if not (began.startswith(PREFIX) and wanted.startswith(PREFIX)):
        return False
    old, new = parse(began), parse(wanted)
    asked_alike = (old.name, old.revision) == (new.name, new.revision) and not new.commit
    return asked_alike and new.folder in ("", old.folder)


def _in_any_case(suffix: str) -> str:
    """A pattern for a suffix in any case: the hub's client takes .PNG and .png for different, our readers do not."""
    return "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in suffix)


def _folder(name: Name, files: Sequence[str]) -> str:
    """The folder that was asked for; if none was, and all tables are in one folder, that one.

    Raises:
        NotFound: nothing in it can be read, or there are tables in several folders.
    """
    inside = [file for file in files if file.startswith(f"{name.folder}/" if name.folder else "")]
    readable = [file for file in inside if file.lower().endswith(SUFFIXES)]
    if not readable:
        raise NotFound(f"no images in {str(name)!r}", f"looked for {' '.join(SUFFIXES)}")
    folders = sorted({_set_of(file) for file in readable if file.endswith(shards.PARQUET)})
    if name.folder or not folders or "" in folders:
        return name.folder
    if len(folders) > 1:
        some = ", ".join(str(replace(name, folder=folder)) for folder in folders[:SEVERAL])
        raise NotFound(f"{str(name)!r} holds several data sets", f"give one of them: {some}")
    return folders[0]


def _set_of(file: str) -> str:
    """The folder of a table; the one above it, if it is named after a split or "data", since `shards` looks into those."""
    folders = file.split("/")[:-1]
    while folders and shards.looks_into(folders[-1]):
        folders.pop()
    return "/".join(folders)


@contextmanager
def asking(name: Name, kind: str = DATA_SET) -> Iterator[None]:
    """Turns the errors of the hub's client, which come from several libraries, into ours."""
    if find_spec("huggingface_hub") is None:
        raise UsageError(
            f"the hub needs huggingface_hub, which is not installed: {str(name)!r}", "pip install 'ddpm[hub]'"
        )
    from huggingface_hub import errors  # noqa: PLC0415

    try:
        yield
    except errors.GatedRepoError as error:
        raise NotFound(
            f"the hub gives this {kind} only to who accepts its conditions: {str(name)!r}",
            f"accept them on https://huggingface.co/{'datasets/' if kind == DATA_SET else ''}{name.name}",
            "hf auth login",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise NotFound(f"no such {kind} on the hub, or none for you: {str(name)!r}", "hf auth login") from error
    except errors.HFValidationError as error:
        raise UsageError(f"no name of a {kind} on the hub: {str(name)!r}") from error
    except errors.HfHubHTTPError as error:
        raise _denied(name, error.response.status_code) or _unreachable(name, error) from error
    except (
        *(errors.HTTPError, errors.FileMetadataError, errors.XetDownloadError),
        *(errors.LocalEntryNotFoundError, errors.RevisionResolutionError),
    ) as error:
        raise _unreachable(name, error) from error
    except OSError as error:
        if error.errno in DISK or error.filename is not None:
            raise StorageError(f"cannot keep what is downloaded: {str(name)!r}: {error.strerror}") from error
        raise _unreachable(name, error) from error


def _denied(name: Name, status: int) -> NotFound | None:
    """What the hub says of who asks: 401, it does not know the token; 403, the token may not do this; else nothing."""
    if status == 401:
        return NotFound(f"the hub does not know who you are: {str(name)!r}", "hf auth login")
    if status == 403:
        return NotFound(
            f"the hub does not allow you this: {str(name)!r}", "hf auth login, with a token that may write to it"
        )
    return None


def _unreachable(name: Name, error: Exception) -> Unavailable:
    return Unavailable(
        f"cannot reach the hub: {str(name)!r}: {in_a_line(error)}",
        "what was downloaded once is read without it, by its commit",
    )
