"""Search in the guide: which sections have the words of a question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from math import log
from typing import Final

from kernapay.guide.pages import RUNBOOKS, Section, names, read_page

LONGEST: Final = 100
"""The longest question, in characters."""

_WORDS: Final = re.compile(r"[\w.]+")
# They stand in nearly every section.
_EMPTY: Final = re.compile(
    r"\b(a|about|an|and|are|be|can|do|does|for|from|get|has|have|how|i|in|is|it|my|of|on|or|our|the|there|this|to|was|"
    r"what|when|where|which|who|why|will|with|you|your)\b"
)
_ENDINGS: Final = ("ing", "ed", "es", "s", "e")
_SHORTEST_STEM: Final = 4
_MOST: Final = 20
_WORTH_SHOWING: Final = 0.4
"""Of the best score. Below are sections that have a few of the words only."""
_IN_TITLE: Final = 2.0
_IN_PAGE_TITLE: Final = 1.0
# Of the pages for one alert each: whoever asks in general is better served by the others.
_IN_RUNBOOK: Final = 0.6
# The usual constants of BM25.
_SATURATION: Final = 1.2
_LENGTH: Final = 0.75
_AROUND: Final = 80


@dataclass(frozen=True, slots=True)
class Hit:
    page: str
    """The name of the page."""
    page_title: str
    title: str
    anchor: str
    excerpt: str
    """HTML, with the words marked."""


def search(question: str) -> list[Hit]:
    """Return the sections that answer a question best, at most 20. It reads every page: not for the event loop."""
    asked = question.lower()
    words = _WORDS.findall(_EMPTY.sub(" ", asked)) or _WORDS.findall(asked)
    wanted = sorted({_stem(word) for word in (each.strip(".") for each in words) if word})
    if not wanted:
        return []
    everything = _sections()
    rarity = [_rarity(word, everything) for word in wanted]
    scored = [(_score(wanted, rarity, each), each) for each in everything]
    scored.sort(key=lambda each: each[0], reverse=True)
    least = scored[0][0] * _WORTH_SHOWING
    return [
        Hit(
            each.page,
            each.page_title,
            each.section.title,
            each.section.anchor,
            _excerpt(each.section.text, wanted),
        )
        for score, each in scored[:_MOST]
        if score > 0 and score >= least
    ]


@dataclass(frozen=True, slots=True)
class _Entry:
    page: str
    page_title: str
    section: Section
    text: str
    """In small letters."""
    length: float
    """Beside the average."""


@cache
def _sections() -> Sequence[_Entry]:
    found = [(page, section) for page in map(read_page, names()) for section in page.sections]
    average = sum(len(section.text) for _, section in found) / len(found)
    return [
        _Entry(page.name, page.title, section, section.text.lower(), len(section.text) / average)
        for page, section in found
    ]


def _stem(word: str) -> str:
    """Return the word without its ending, so that "refunds" and "rotate" find "refund" and "rotating"."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word


def _rarity(word: str, entries: Sequence[_Entry]) -> float:
    having = sum(word in each.text for each in entries)
    return log(1 + (len(entries) - having + 0.5) / (having + 0.5))


def _score(wanted: Sequence[str], rarity: Sequence[float], entry: _Entry) -> float:
    """Return how much a section is about the words (BM25, and more for those in titles)."""
    title, page_title = entry.section.title.lower(), entry.page_title.lower()
    norm = _SATURATION * (1 - _LENGTH + _LENGTH * entry.length)
    score = 0.0
    for word, rare in zip(wanted, rarity, strict=True):
        count = entry.text.count(word)
        score += rare * (
            count * (_SATURATION + 1) / (count + norm)
            + _IN_TITLE * (word in title)
            + _IN_PAGE_TITLE * (word in page_title)
        )
    return score * (_IN_RUNBOOK if entry.page.startswith(f"{RUNBOOKS}/") else 1)


def _excerpt(text: str, wanted: Sequence[str]) -> str:
    any_word = re.compile("|".join(re.escape(word) for word in wanted), re.IGNORECASE)
    first = any_word.search(text)
    middle = first.start() if first else 0
    begin = max(0, middle - _AROUND)
    part = text[begin : middle + 2 * _AROUND]
    pieces, last = [], 0
    for match in any_word.finditer(part):
        pieces += [escape(part[last : match.start()]), f"<mark>{escape(match[0])}</mark>"]
        last = match.end()
    pieces.append(escape(part[last:]))
    return (
        ("… " if begin else "") + "".join(pieces) + (" …" if begin + len(part) < len(text) else "")
    )
