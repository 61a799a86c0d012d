"""What every test of the command line has."""

import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def _without_reports(without_reports):
    """Some tests call `main` themselves."""


@pytest.fixture(scope="module")
def coder(trained, tmp_path_factory):
    """A run of one's own that has coded before, and three digits as pictures."""
    import ddpm as library

    place = tmp_path_factory.mktemp("coder")
    shutil.copytree(trained, place / "run")
    library.images("digits")[:3].save(place / "in")
    library.load(place / "run").compress(library.images("digits")[:1], progress=False)
    return place
