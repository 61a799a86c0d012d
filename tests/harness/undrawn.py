"""The laboratory's page without its formulas: drawing them takes most of its time, and few tests look at them."""

from contextlib import contextmanager

import pytest

from ddpm.report import notes_page


@contextmanager
def formulas_undrawn():
    """Nothing stands in the place of each; what is drawn before and afterwards has them."""
    _forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddpm.figures.style.formula", lambda _: "")
        yield patch
    _forget()


def _forget():
    notes_page.notes_sections.cache_clear()
    notes_page._formula.cache_clear()
