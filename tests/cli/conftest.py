"""What every test of the command line has."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _without_reports(without_reports):
    """Some tests call `main` themselves."""
