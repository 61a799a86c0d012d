"""A text is found by the template that made it, whatever stands in its gaps."""

import pytest

from ddpm.catalogue import Catalogue

WORDS = Catalogue(
    {
        "{n} image": "이미지 {0}장",
        "{n} images": "이미지 {0}장",
        "{words} in {name}{more}": "{1}에 {0}{2}",
        ", {n} of them new": "(새것 {0}장)",
        "{n} of {words} {is} left": "{1} 가운데 {0}장이 남았습니다",
        "cannot read {name}: {any}": "{0}을(를) 읽을 수 없습니다: {1}",
        "it is gone": "사라졌습니다",
        "choose from {list}": "이 가운데 고르세요: {0}",
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
