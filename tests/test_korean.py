"""Particles follow the sound of the word, number or formula before them."""

import pytest

from ddpm.korean import joined, settled

AFTER = {
    "을(를)": {
        "을": "RUN JSON N DIR run step label preset out cat net set split it output lab model input file dataset format "
        "잡음 서울 1 3 6 7 8 10 x_{t-1} sigma_1^2 sigma_t^{2} KL eps bits/dim 간격(gap) N(0,1/4) 1/4 σ² 1.30 1,000",
        "를": "T K PNG seed batch grid checkpoint config data image weight float bit state "
        "신호 2 4 5 9 0.5 x_0 x_t x_{0:T} L_T beta beta-tilde 34% nats q(x_t|x_0) N(0,I) 2/1000 β̃ 2e-05",
    },
    "이(가)": {
        "이": "잡음 0.630 1,000 1e-10 SNR DDPM U-Net 식\u00a013",
        "가": "신호 0.632 1e-05 1.2e-14 ELBO VAE CIFAR L_0 1000000000000",
    },
    "은(는)": {
        "은": "training.lr data.layout a.jpeg PixelCNN --budget 잡음 cosine log-snr quadratic L_simple 100 Q17",
        "는": "linear constant x_0 L_0 E22 p(x_T) x_{0} a.png 'a.webp'",
    },
    "과(와)": {"과": "잡음 p(x_1)", "와": "신호 D_KL(q||p) 12"},
    "(으)로": {"으로": "잡음 10 3 0.6 n bits/dim x^2", "로": "신호 서울 1.004 0.1 0.7 0.8 KL dB L_simple x_1 1/3 2%"},
}
JOINED = [
    (word, both, form) for both, forms in AFTER.items() for form, words in forms.items() for word in words.split(" ")
]


@pytest.mark.parametrize(("word", "both", "form"), JOINED)
def test_by_the_sound_of_what_stands_before(word, both, form):
    assert joined(word, both) == word + form


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("오차가 0.632이(가) 되고 1.004(으)로 줄어든다", "오차가 0.632가 되고 1.004로 줄어든다"),
        ("닫힌 식은 0.5(이)고, 차이는 0.3(이)다.", "닫힌 식은 0.5고, 차이는 0.3이다."),
        ("x_{t-1}을(를) cosine은(는)", "x_{t-1}을 cosine은"),
        ("{where}을(를) {x_0:g}(으)로", "{where}을(를) {x_0:g}(으)로"),
        ("조사 을(를) 이야기", "조사 을(를) 이야기"),
        ("이미지(이)와 신호(가)", "이미지(이)와 신호(가)"),
    ],
)
def test_both_forms_in_a_text_become_one(written, read):
    assert settled(written) == read
