"""Find e-mail addresses that look like another one: confusables of Unicode Technical Standard 39."""

import unicodedata
from collections.abc import Set
from typing import Final

# Scripts that are written together. All others stand alone, beside digits and punctuation.
_TOGETHER: Final = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
)
# Latin letters of living alphabets that are not an ASCII letter with marks.
_LETTERS: Final = frozenset("æœøßðþłđħŋ")
# Signs of the CJK scripts that are a single stroke. Among Latin letters alone, they look like punctuation.
_STROKES: Final = frozenset("ー一丨")
_OF_ALL_SCRIPTS: Final = frozenset({"COMMON", "INHERITED"})


def looks_like_another(local_part: str) -> bool:
    """Return whether people may take it for another one: scripts are mixed, or letters look like those of ASCII.

    ASCII itself is never refused: everybody has to tell `l` from `1` anyway.
    """
    foreign = [each for each in local_part if not each.isascii()]
    if not foreign:
        return False
    # Here, because the tables take a tenth of a second to load, and hardly any address needs them.
    from confusable_homoglyphs.categories import unique_aliases

    scripts = unique_aliases(local_part) - _OF_ALL_SCRIPTS
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        return True
    if "LATIN" in scripts:
        letters = [each for each in foreign if not _is_of_an_alphabet(each)]
        if any(_is_odd_beside_latin(each, unique_aliases(each)) for each in letters):
            return True
        others = set(letters) - _STROKES
        return bool(letters) and not others
    # A whole word of Cyrillic may look like one in ASCII.
    return all(_looks_like_ascii(each) for each in foreign)


def _is_of_an_alphabet(letter: str) -> bool:
    """Return whether people know the Latin letter from its base in ASCII: `é`, or one of their alphabets."""
    parts = unicodedata.normalize("NFD", letter)
    return letter in _LETTERS or (parts[0].isascii() and len(parts) > 1)


def _is_odd_beside_latin(character: str, scripts: Set[str]) -> bool:
    # Other Latin letters are phonetic signs, small capitals and turned ones. A mark that NFC left alone is laid over
    # a letter, such as a stroke.
    is_mark = unicodedata.category(character).startswith("M")
    return "LATIN" in scripts or is_mark or _looks_like_ascii(character)


def _looks_like_ascii(character: str) -> bool:
    from confusable_homoglyphs.confusables import confusables_data

    return any(each["c"].isascii() for each in confusables_data.get(character, ()))
