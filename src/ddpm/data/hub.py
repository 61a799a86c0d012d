"""Data sets of the Hugging Face hub, `hf:NAME`: their files are downloaded once, and then read as any others.

A name says what is there now. A run writes down which commit that was, `hf:NAME@COMMIT`, and goes on with this one whatever
is uploaded later.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from ddpm.data import archive, decode, parquet
from ddpm.errors import Failure, NotFound, StorageError, Unavailable, UsageError

PREFIX = "hf:"
FORM = re.compile(
    r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>refs/(convert|pr)/[^/]+|[^/]+))?(/(?P<folder>[^/@][^@]*))?"
)
"""As the hub's own hf://datasets/OWNER/NAME@REVISION/FOLDER."""
COMMIT = re.compile(r"[0-9a-f]{40}")
SUFFIXES = (*parquet.SUFFIXES, *archive.TARS, *sorted(decode.SUFFIXES))
SEVERAL = 5


@dataclass(frozen=True)
class Name:
    """A data set of the hub: its name there, a branch, tag or commit ("" for the newest), and a folder in it ("" for all)."""

    name: str
    revision: str = ""
    folder: str = ""

    @property
    def pinned(self) -> bool:
        """Whether it will be the same files for ever."""
        return bool(COMMIT.fullmatch(self.revision))

    def __str__(self) -> str:
        """As a SOURCE."""
        revision = f"@{self.revision.replace('/', '%2F')}" if self.revision else ""
        return f"{PREFIX}{self.name}{revision}{f'/{self.folder}' if self.folder else ''}"


def parse(source: str) -> Name:
    """What `hf:OWNER/NAME@REVISION/FOLDER` says; all but the name may be left out.

    Raises:
        UsageError: it is no such name.
    """
    found = FORM.fullmatch(source)
    folder = (found["folder"] or "").strip("/") if found else ""
    if found is None or ".." in folder.split("/"):
        raise UsageError(
            f"no name of a data set on the hub: {source!r}", "hf:OWNER/NAME, hf:OWNER/NAME@REVISION/FOLDER"
        )
    return Name(found["name"], unquote(found["revision"] or ""), folder)


def pinned(source: str) -> str:
    """The SOURCE of the files that `source` stands for today; of any other kind of source, itself.

    Raises:
        UsageError: it is no such name, or huggingface_hub is not installed.
        NotFound: there is no such data set, or nothing in it that can be read.
        Unavailable: the hub cannot be reached.
    """
    if not source.startswith(PREFIX) or (name := parse(source)).pinned:
        return source
    with _asking(name):
        from huggingface_hub import HfApi  # noqa: PLC0415 (an extra, and half a second)

        found = HfApi().dataset_info(name.name, revision=name.revision or None)
        files = [file.rfilename for file in found.siblings or []]
        return str(Name(name.name, str(found.sha), _folder(name, files)))


def fetched(source: str) -> Path:
    """Where the files of `source` are on this machine: below the hub's own cache ($HF_HOME), downloaded if they are not there.

    Raises:
        Failure: as `pinned`.
        StorageError: the disk is full or fails.
    """
    name = parse(pinned(source))
    inside = f"{name.folder}/" if name.folder else ""
    with _asking(name):
        from huggingface_hub import snapshot_download  # noqa: PLC0415

        patterns = [f"{inside}*{suffix}" for suffix in SUFFIXES]
        place = snapshot_download(name.name, repo_type="dataset", revision=name.revision, allow_patterns=patterns)
    return Path(place) / name.folder


def same(began: str, wanted: str) -> bool:
    """Whether `wanted` is a name of which `began` is what it once stood for."""
    if not (began.startswith(PREFIX) and wanted.startswith(PREFIX)):
        return False
    old, new = parse(began), parse(wanted)
    return old.name == new.name and not new.revision and new.folder in ("", old.folder)


def _folder(name: Name, files: Sequence[str]) -> str:
    """The folder that was asked for; of a data set with its tables in one folder, that one.

    Raises:
        NotFound: nothing there that can be read, or tables in several folders.
    """
    inside = [file for file in files if file.startswith(f"{name.folder}/" if name.folder else "")]
    readable = [file for file in inside if file.lower().endswith(SUFFIXES)]
    if not readable:
        raise NotFound(f"no images in {str(name)!r}", f"looked for {' '.join(SUFFIXES)}")
    tables = [file for file in readable if file.endswith(parquet.SUFFIXES)]
    folders = sorted({file.rpartition("/")[0] for file in tables})
    if name.folder or not folders or any(folder in ("", "data") for folder in folders):
        return name.folder
    if len(folders) > 1:
        some = ", ".join(str(Name(name.name, name.revision, folder)) for folder in folders[:SEVERAL])
        raise NotFound(f"{str(name)!r} holds several data sets", f"give one of them: {some}")
    return folders[0]


@contextmanager
def _asking(name: Name) -> Iterator[None]:
    """What the hub's client raises, which is of many kinds and of several libraries, as ours."""
    if find_spec("huggingface_hub") is None:
        raise UsageError(
            f"the hub needs huggingface_hub, which is not installed: {str(name)!r}", "pip install 'ddpm[hub]'"
        )
    from huggingface_hub import errors  # noqa: PLC0415

    try:
        yield
    except Failure:
        raise
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.GatedRepoError) as error:
        raise NotFound(f"no such data set on the hub, or none for you: {str(name)!r}", "hf auth login") from error
    except errors.HFValidationError as error:
        raise UsageError(f"no name of a data set on the hub: {str(name)!r}") from error
    except OSError as error:
        if error.errno is None or isinstance(error, ConnectionError):
            raise _unreachable(name, error) from error
        raise StorageError(f"cannot keep what is downloaded: {str(name)!r}: {error.strerror}") from error
    except Exception as error:
        raise _unreachable(name, error) from error


def _unreachable(name: Name, error: Exception) -> Unavailable:
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    return Unavailable(
        f"cannot reach the hub: {str(name)!r}: {said}", "what was downloaded once is read without it, by its commit"
    )
