"""Local parts of e-mail addresses that look like others (Unicode Technical Standard 39)."""

from typing import Final

# Scripts that are written together. All others stand alone, beside digits and punctuation.
_TOGETHER: Final = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
)
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
    alike = [_looks_like_ascii(each) for each in foreign]
    # A whole word of Cyrillic may look like one in ASCII. Among Latin letters, one is enough.
    return all(alike) or ("LATIN" in scripts and any(alike))


def _looks_like_ascii(character: str) -> bool:
    from confusable_homoglyphs.confusables import confusables_data

    return any(each["c"].isascii() for each in confusables_data.get(character, ()))
