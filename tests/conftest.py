"""Shape checks at run time for everything under test, threads as CI has them, and the numbers of the specification."""

import json
import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.harness import checks

SOURCES = Path(find_spec("ddpm").submodule_search_locations[0])
checks.check(*(f"ddpm.{room}" for room in sorted(path.stem for path in SOURCES.glob("[!_]*")) if room != "cli"))
"""But for the commands, which import most only once it is needed and only name its types; they call what is checked."""

pytest_plugins = ["tests.harness.commands"]

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"))
SHARED = Path(__file__).resolve().parents[2] / "shared"
REFERENCE = json.loads((Path(__file__).parent / "data" / "reference_values.json").read_text())


@pytest.fixture(autouse=True)
def _surroundings():
    """Fixed threads and seed; short chains may leave signal, and tests of that warning ask for it."""
    from ddpm.diffusion.schedule import SignalRemains

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", category=SignalRemains)


@pytest.fixture(scope="session", autouse=True)
def _in_english():
    """What commands say by default, on the machine of a Korean too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            if os.environ.get(name, "").startswith("ko"):
                patch.setenv(name, "C.UTF-8")
        yield


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """An index cache of this session: no test reads or writes that of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDPM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left():
    """Neither a traceback of a bug on purpose nor a folder of results stays where the tests were started."""
    before = set(os.listdir())
    yield
    assert not [name for name in set(os.listdir()) - before if name.startswith(("crash-", "runs"))]


@pytest.fixture(scope="session")
def reference():
    """Values computed with mpmath to 20 digits."""
    return REFERENCE


@pytest.fixture(scope="session")
def shared_data():
    """Real images; only where the project is developed. Their absence is an error in CI, a skip elsewhere."""
    folder = SHARED / "data"
    if not folder.is_dir():
        if os.environ.get("DDPM_CI"):
            pytest.fail(f"CI must have the real data in {folder}")
        pytest.skip(f"needs the real data in {folder}")
    return folder


def pytest_terminal_summary(terminalreporter):
    """What proofs by many trials have found, to be quoted: their property "figures"."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    for report in reports:
        for name, value in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
            if name == "figures":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
