"""What is said in two languages, and which of them the reader's machine speaks."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ddpm.korean import settled

LANGUAGES = ("en", "ko")


@dataclass(frozen=True)
class Text:
    """The same in English and in Korean; of a particle of which both forms are written, 을(를), the right one stays."""

    en: str
    ko: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "ko", settled(self.ko))

    def in_language(self, language: str) -> str:
        """One of `LANGUAGES`."""
        return {"en": self.en, "ko": self.ko}[language]

    def with_values(self, language: str, **values: object) -> str:
        """In a language, its {places} filled."""
        said = self.in_language(language).format(**values)
        return settled(said) if language == "ko" else said


def machine_language(environment: Mapping[str, str] = os.environ) -> str:
    """One of `LANGUAGES`: "ko" where LC_ALL, LC_MESSAGES or LANG, the first that is set, is Korean; else "en"."""
    said = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "ko" if said.lower().split("_")[0].split(".")[0] == "ko" else "en"
