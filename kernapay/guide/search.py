"""Search in the guide: which sections have the words of a question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import islice, pairwise
from math import log
from typing import Final

from kernapay.guide.pages import RUNBOOKS, Page, Section, names, read_page

LONGEST: Final = 100
"""The longest question, in characters."""

_WORDS: Final = re.compile(r"[^\W_]+")
# Our own name is one word.
_INSIDE: Final = re.compile(r"(?<=[a-z])(?<!Kerna)(?=[A-Z])")
# They stand in nearly every section.
_EMPTY: Final = re.compile(
    r"\b(a|about|after|an|and|are|as|at|be|but|by|can|do|does|for|from|get|happens|has|have|how|i|if|in|is|it|me|my|no|"
    r"not|now|of|on|one|or|our|should|so|that|the|then|there|they|this|to|was|we|what|when|where|which|who|why|will|with|"
    r"you|your)\b"
)
_ENDINGS: Final = ("ing", "ed", "es", "s", "e")
_SHORTEST_STEM: Final = 4
_MOST: Final = 20
_WORTH_SHOWING: Final = 0.4
"""Of the best score. Below are sections that have a few of the words only."""
_IN_TITLE: Final = 2.0
_IN_PAGE_TITLE: Final = 1.0
# Two words that stand side by side in the question and in the section: "credit note".
_SIDE_BY_SIDE: Final = 1.0
# Of the pages for one alert each: whoever asks in general is better served by the others.
_IN_RUNBOOK: Final = 0.6
# The constants of BM25. The usual 0.75 for the length would hide tables, such as that of all settings.
_SATURATION: Final = 1.2
_LENGTH: Final = 0.5
_AROUND: Final = 80
# So many matches of a section are looked at for its excerpt.
_PLACES: Final = 100


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
    asked = _apart(question)
    words = _WORDS.findall(_EMPTY.sub(" ", asked)) or _WORDS.findall(asked)
    wanted = list(dict.fromkeys(map(_stem, words)))
    if not wanted:
        return []
    everything = _sections()
    rarity = [_rarity(word, everything) for word in wanted]
    pairs = [
        (re.compile(rf" {first}\w* {second}"), min(rarity[at], rarity[at + 1]))
        for at, (first, second) in enumerate(pairwise(wanted))
    ]
    scored = [(_score(wanted, rarity, pairs, each), each) for each in everything]
    scored.sort(key=lambda each: each[0], reverse=True)
    least = scored[0][0] * _WORTH_SHOWING
    return [
        Hit(
            each.page.name,
            each.page.title,
            each.section.title,
            each.section.anchor,
            _excerpt(each.section.text, wanted),
        )
        for score, each in scored[:_MOST]
        if score > 0 and score >= least
    ]


@dataclass(frozen=True, slots=True)
class _Entry:
    page: Page
    section: Section
    page_title: str
    title: str
    text: str
    """Title and text. All three are words in small letters, each after a blank."""
    length: float
    """Beside the average."""


@cache
def _sections() -> Sequence[_Entry]:
    # A heading without a text of its own answers nothing: the section below it does.
    found = [
        (page, section)
        for page in map(read_page, names())
        for section in page.sections
        if section.text
    ]
    average = sum(len(section.text) for _, section in found) / len(found)
    return [
        _Entry(
            page,
            section,
            _plain(page.title),
            _plain(section.title),
            _plain(f"{section.title} {section.text}"),
            len(section.text) / average,
        )
        for page, section in found
    ]


def _stem(word: str) -> str:
    """Return the word without its ending, so that "refunds" and "rotate" find "refund" and "rotating"."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word


def _apart(text: str) -> str:
    """Return the text in small letters, with the words of names such as `payableUntil` apart."""
    return _INSIDE.sub(" ", text).lower()


def _plain(text: str) -> str:
    """Return the words, each after a blank, so that " port" is in "HTTP_PORT", and not in "report"."""
    return "".join(f" {word}" for word in _WORDS.findall(_apart(text)))


def _rarity(word: str, entries: Sequence[_Entry]) -> float:
    having = sum(f" {word}" in each.text for each in entries)
    return log(1 + (len(entries) - having + 0.5) / (having + 0.5))


def _score(
    wanted: Sequence[str],
    rarity: Sequence[float],
    pairs: Sequence[tuple[re.Pattern[str], float]],
    entry: _Entry,
) -> float:
    """Return how much a section is about the words (BM25, and more for those in titles and for pairs)."""
    norm = _SATURATION * (1 - _LENGTH + _LENGTH * entry.length)
    score = 0.0
    for word, rare in zip(wanted, rarity, strict=True):
        begins = f" {word}"
        count = entry.text.count(begins)
        score += rare * (
            count * (_SATURATION + 1) / (count + norm)
            + _IN_TITLE * (begins in entry.title)
            + _IN_PAGE_TITLE * (begins in entry.page_title)
        )
    for pair, rare in pairs:
        count = len(pair.findall(entry.text))
        score += _SIDE_BY_SIDE * rare * count * (_SATURATION + 1) / (count + norm)
    return score * (_IN_RUNBOOK if entry.page.name.startswith(f"{RUNBOOKS}/") else 1)


def _excerpt(text: str, wanted: Sequence[str]) -> str:
    """Return the part of a text that has the most of the words."""
    any_word = re.compile(rf"(?<![^\W_])(?:{'|'.join(wanted)})", re.IGNORECASE)
    found = islice(any_word.finditer(text), _PLACES)
    places = [(match.start(), match[0].lower()) for match in found]
    middle = max(
        (begin for begin, _ in places),
        key=lambda begin: len({word for at, word in places if 0 <= at - begin < 2 * _AROUND}),
        default=0,
    )
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
