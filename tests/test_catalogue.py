"""A text is found by the template that made it, whatever stands in its gaps."""

import time

import pytest

from ddpm.catalogue import KNOWN, Catalogue
from ddpm.cli.terminal import speech

WORDS = Catalogue(
    {
        "{n} image": "이미지 {0}장",
        "{n} images": "이미지 {0}장",
        "{words} in {name}{more}": "{1}에 {0}{2}",
        ", {n} of them new": "(새것 {0}장)",
        "{n} of {words} {is} left": "{1} 가운데 {0}장이 남았습니다",
        "cannot read {name}: {any}": "{0}을(를) 읽을 수 없습니다: {1}",
        "it is gone": "사라졌습니다",
        "choose from {either}": "이 가운데 고르세요: {0}",
        "passed over: {list}": "지나친 것: {0}",
        "archive: {n}": "아카이브: {0}",
        "it has {either}: give one": "{0}이(가) 있습니다. 하나를 주세요",
        "{name}: {words}": "{0}: {1}",
        "loss {n}": "손실 {0}",
        "plot: {name}": "그래프: {0}",
        "a run folder": "run 폴더",
        "run": "실행",
        "{name} goes on": "{0}을(를) 이어 갑니다",
        "the run in {name} goes on": "{0}의 run을 이어 갑니다",
    }
)


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("1 image", "이미지 1장"),
        ("1,497 images", "이미지 1,497장"),
        ("  2 images", "  이미지 2장"),
        ("2 images in out", "out에 이미지 2장"),
        ("2 images in out, 1 of them new", "out에 이미지 2장(새것 1장)"),
        ("2 images in here in there", "here in there에 이미지 2장"),
        ("1 of 2 images is left", "이미지 2장 가운데 1장이 남았습니다"),
        ("1 of 2 images were left", None),
        ("cannot read 'a: b.png': it is gone", "'a: b.png'를 읽을 수 없습니다: 사라졌습니다"),
        ("cannot read 잡음: Errno 5", "잡음을 읽을 수 없습니다: Errno 5"),
        ("choose from run, a run folder or test", "이 가운데 고르세요: run, run 폴더 또는 test"),
        ("the run in photos goes on", "photos의 run을 이어 갑니다"),
        ("photos goes on", "photos를 이어 갑니다"),
        ("nan images", "이미지 nan장"),
        ("choose from a or b, or run", "이 가운데 고르세요: a 또는 b 또는 run"),
        ("it has train and test: give one", "train과 test가 있습니다. 하나를 주세요"),
        ("it has train and cats, dogs and birds: give one", "train and cats, dogs and birds가 있습니다. 하나를 주세요"),
        ("it has 'cats and dogs' and train: give one", "'cats and dogs'와 train이 있습니다. 하나를 주세요"),
        ("passed over: a and b.png, cats or dogs/x.png", "지나친 것: a and b.png, cats or dogs/x.png"),
        ("passed over: archive: 2, a and b: 3", "지나친 것: 아카이브: 2, a and b: 3"),
        ("plot: loss 3", "그래프: loss 3"),
        ("사과을(를) goes on", "사과을(를)을 이어 갑니다"),
        ("many images", None),
        ("images", None),
        ("", None),
    ],
)
def test_a_text_and_its_template(english, korean):
    assert WORDS.find(english) == korean
    assert WORDS.in_korean(english) == (english if korean is None else korean)


def test_a_particle_follows_what_is_filled_in():
    said = Catalogue({"{name} and {name}": "{0}과(와) {1}을(를)"})
    assert said.find("신호 and 잡음") == "신호와 잡음을"


def test_no_text_takes_long():
    """Nor keeps memory: the templates are those of the command line."""
    words = speech.catalogue()
    for text in (", ; : " * 300, "a and b, c or d; " * 200, "x: " * 1000, "the data as understood: 1 images of " * 50):
        began = time.process_time()
        words.find(text)
        assert time.process_time() - began < 5, text[:20]
    began = time.process_time()
    for number in range(2000):
        words.find(f"nothing says {number} of this text")
    assert time.process_time() - began < 20


@pytest.mark.long
def test_memory_is_bounded():
    said = Catalogue({"{n} image": "이미지 {0}장"})
    for number in range(KNOWN + 100):
        said.find(f"{number} image")
    assert said._remembered.cache_info().currsize == KNOWN
