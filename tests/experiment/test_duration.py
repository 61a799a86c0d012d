"""Spans of time, typed and read."""

import pytest

from ddpm.errors import UsageError
from ddpm.experiment.duration import in_words, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("0.5", 0.5), ("1e3", 1000), ("30s", 30), ("5m", 300), ("5 min", 300), ("2h", 7200)),
        *(("1h30m", 5400), ("1d", 86_400), (" 1H 30M ", 5400), ("1.5h", 5400)),
    ],
)
def test_a_span_is_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "nan", "inf", "5x", "m5", "5m!", "1:30", "٣m", "1e999"])
def test_what_is_none_is_refused(text):
    with pytest.raises(UsageError, match="must be a time above 0"):
        seconds_of(text)


def test_a_span_in_words():
    assert [in_words(seconds) for seconds in (59.6, 600, 9000, 583 * 3600)] == ["60 s", "10 min", "2.5 h", "24 days"]
