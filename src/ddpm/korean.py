"""Korean particles (josa) by the sound of what stands before them: 1.004로, x_T를, L_T는, KL과.

Write both forms after a value, `f"{gap:.3f}(으)로"`, and let `settled` choose; `ends` says how a number, symbol or word is read.
"""

import re
from collections.abc import Mapping

OPEN, RIEUL, CLOSED = "vowel", "rieul", "consonant"
"""How a syllable ends: on a vowel, on ㄹ (which 로 takes as a vowel), on another consonant."""

PARTICLES: Mapping[str, tuple[str, str]] = {
    "이(가)": ("이", "가"),
    "은(는)": ("은", "는"),
    "을(를)": ("을", "를"),
    "과(와)": ("과", "와"),
    "와(과)": ("과", "와"),
    "(으)로": ("으로", "로"),
    "(이)": ("이", ""),
}
"""How both forms are written at once, and what they become after a consonant and after a vowel; (이)다, (이)고, (이)며 too."""

_DIGITS = {"0": CLOSED, "1": RIEUL, "2": OPEN, "3": CLOSED, "4": OPEN, "5": OPEN, "6": CLOSED, "7": RIEUL, "8": RIEUL}
_LETTERS = {"l": RIEUL, "r": RIEUL, "m": CLOSED, "n": CLOSED}  # 엘, 알, 엠, 엔; all others end on a vowel
_WORDS = {
    "nats": OPEN,
    "bits": OPEN,
    "dim": CLOSED,
    "dB": RIEUL,
    "eps": CLOSED,  # 엡실론
    "epsilon": CLOSED,
    "linear": OPEN,
    "quadratic": CLOSED,
    "gap": CLOSED,
    "Net": CLOSED,
    "warmup": CLOSED,
    "jsd": OPEN,
    "snr": RIEUL,
    "CIFAR": OPEN,
    "bar": OPEN,
    "prior": OPEN,
    "token": CLOSED,
    "posterior": OPEN,
    "JSON": CLOSED,
    "budget": CLOSED,
    "layout": CLOSED,
    "jpeg": CLOSED,  # 제이펙
    "png": OPEN,  # 피엔지
    "webp": OPEN,
    "lr": RIEUL,
    "lab": CLOSED,
    "name": CLOSED,
    "file": RIEUL,
    "bit": OPEN,  # 비트
    "edit": OPEN,
    "check": OPEN,
    "loop": OPEN,
    "help": OPEN,
    "out": CLOSED,  # 아웃
    "input": CLOSED,
    "output": CLOSED,
}
_SYMBOLS = {"²": CLOSED, "³": CLOSED, "ε": CLOSED, "ϵ": CLOSED, "₀": OPEN, "₁": RIEUL}  # 제곱, 엡실론, 제로, 일
_FRACTION = re.compile(r"(?<![\d./])(\d+)/\d+$")
_NUMBER = re.compile(r"\d[\d.,]*$")
_WORD = re.compile(r"[A-Za-z]+$")
_BOTH = re.compile(
    r"(?<=\S)(?:이\(가\)|은\(는\)|을\(를\)|과\(와\)|와\(과\)|\(으\)로|\(이\)(?=다|고|며|지만|나|라|면|었))"
)
_PLACEHOLDER = re.compile(r"(?<![_^])\{\w*(?::[^{}]*)?\}$")


def settled(text: str, begin: int = 0) -> str:
    """The text with one form of every particle, from `begin` on, of which both are written.

    After a {placeholder} both stay, until it is filled.
    """

    def chosen(found: re.Match[str]) -> str:
        before = found.string[: found.start()]
        return found[0] if found.start() < begin or _PLACEHOLDER.search(before) else particle(before, found[0])

    return _BOTH.sub(chosen, text)


def particle(word: str, both: str) -> str:
    """The form of a particle, one of `PARTICLES`, after a word, number or formula."""
    sound = ends(word)
    vowel = sound == OPEN or (sound == RIEUL and both == "(으)로")
    return PARTICLES[both][1 if vowel else 0]


def joined(word: str, both: str) -> str:
    """A word, number or formula with its particle."""
    return word + particle(word, both)


def ends(word: str) -> str:
    """How what is read last ends: `OPEN`, `RIEUL` or `CLOSED`; of what nobody reads aloud, `OPEN`."""
    word = word.rstrip(" \"'’”*`")
    if not word:
        return OPEN
    last = word[-1]
    if "가" <= last <= "힣":
        return {0: OPEN, 8: RIEUL}.get((ord(last) - ord("가")) % 28, CLOSED)
    if last in ")]}":
        return _bracketed(word)
    if last in _SYMBOLS:
        return _SYMBOLS[last]
    if number := _NUMBER.search(word):
        return _number(word[: number.start()], number[0].rstrip(".,"), word)
    latin = _WORD.search(word)
    return _latin(latin[0]) if latin else OPEN  # %, Greek letters, and signs that are not read


def _bracketed(word: str) -> str:
    """간격(gap) and linear(선형) are read without their glosses, q(x_t) and x_{t-1} to their ends, x^{2} as a power."""
    at, depth = len(word), 0
    while at and (depth or at == len(word)):
        at -= 1
        depth += (word[at] in ")]}") - (word[at] in "([{")
    outside, inside = word[:at], word[at + 1 : -1]
    if outside.endswith("^"):
        return CLOSED
    if outside and word.endswith(")") and re.search("[가-힣]", outside[-1] + inside):
        return ends(outside)
    return ends(f"_{inside}" if outside.endswith("_") else inside)


def _number(before: str, number: str, whole: str) -> str:
    """Digit by digit: x_0 ends on 제로, a power on 제곱, a fraction on its numerator, 10^12 on 조."""
    if re.search(r"\^-?$", before):
        return CLOSED
    if before.endswith("_") and number == "0":
        return OPEN
    if fraction := _FRACTION.search(whole):
        return ends(fraction[1])
    zeros = len(number) - len(number.rstrip("0"))
    if "." not in number and 12 <= zeros < 16:
        return OPEN
    return _DIGITS.get(number[-1], OPEN)


def _latin(word: str) -> str:
    """A known word, a letter or an abbreviation (PixelCNN too) by its last letter's name, another as English mostly sounds."""
    if known := _WORDS.get(word) or _WORDS.get(word.lower()):
        return known
    if len(word) == 1 or word[-2:].isupper():
        return _LETTERS.get(word[-1].lower(), OPEN)
    if re.search(r"l$|le$", word):
        return RIEUL
    return CLOSED if re.search(r"(m|n|ng|me|ne|c|ck|p|(?<![aeiou])[aeiou]t)$", word) else OPEN
