"""Answers on a model in Korean: particles that fit, in every case of a verdict, and no label that stays English."""

import pytest

from ddpm.laboratory.own.ablation import KINDS, answer, trained, usual_chain
from ddpm.laboratory.own.questions import EXACT_MODEL, ON_MODEL, ask_on_model
from tests.laboratory.test_korean import assert_cases_korean, assert_korean, misread


@pytest.mark.parametrize("name", ON_MODEL)
def test_an_answer_on_a_model_is_korean(name, own_subject, every_case):
    """The name of the run stays."""
    assert_korean(ask_on_model(name, own_subject), "tiny")
    assert_cases_korean(every_case)


def test_table_2_is_korean(every_case):
    assert_korean(answer(trained(usual_chain(4), steps=1, num_images=2, kinds=KINDS), "linear, T = 4"))
    assert_cases_korean(every_case)


def test_what_stands_beside_a_model():
    assert misread(EXACT_MODEL.ko) == []
