"""What a test of reading may ask for."""

import sys

import pytest

from ddpm.data.decoding import formats


@pytest.fixture
def without_heif(monkeypatch):
    """As if the extra `heif` were not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    formats.reads_heif.cache_clear()
    yield
    formats.reads_heif.cache_clear()
