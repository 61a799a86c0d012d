"""Formulas that were written for a terminal, as HTML: x_{t-1}, sqrt(1 - alpha_bar_t), beta-tilde. Indices do not nest."""

import html
import re

SYMBOLS = {
    "alpha_bar": "ᾱ",
    "alpha-bar": "ᾱ",
    "beta_tilde": "β̃",
    "beta-tilde": "β̃",
    "mu-tilde": "μ̃",
    "alpha": "α",
    "beta": "β",
    "sigma": "σ",
    "epsilon": "ε",
    "eps": "ε",
    "theta": "θ",
    "lambda": "λ",
    "delta": "δ",
    "Delta": "Δ",
    "eta": "η",
    "mu": "μ",
    "sqrt": "√",
    "prod": "∏",
}
WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(SYMBOLS)})(?![A-Za-z])")
INDEX = re.compile(r"(?<![A-Za-z])([A-Za-zαβσεμθ]|ᾱ|β̃|μ̃)_(\{[^{}]+\}|\([^()]+\)|[A-Za-z]+|\d+|θ)")
POWER = re.compile(r"\^(\{[^{}]+\}|-?\d+)")


def typeset(text: str) -> str:
    """Escaped, with Greek letters, indices and powers."""
    text = WORD.sub(lambda found: SYMBOLS[found[1]], html.escape(text, quote=False))
    text = text.replace("&lt;=", "≤").replace("&gt;=", "≥").replace("||", "‖")
    text = INDEX.sub(lambda found: f"{found[1]}<sub>{_inside(found[2])}</sub>", text)
    return POWER.sub(lambda found: f"<sup>{_inside(found[1])}</sup>", text)


def prose(text: str) -> str:
    """Typeset, with `commands` as code."""
    parts = text.split("`")
    return "".join(f"<code>{html.escape(part)}</code>" if i % 2 else typeset(part) for i, part in enumerate(parts))


def _inside(text: str) -> str:
    return text.strip("{}()").replace("-", "−")
