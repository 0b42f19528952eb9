"""The fonts of documents: one for common Latin letters in two weights, and one for each other script."""

import unicodedata
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "fonts"
BASE: Final = "sans"
LATIN: Final = "latin-ext"
UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands for a character that no font has."""

_JOINERS: Final = (0x200C, 0x200D, 0x25CC)
_BLOCKS: Final = {
    LATIN: ((0x0100, 0x024F), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF)),
    "devanagari": ((0x0900, 0x097F), (0x1CD0, 0x1CFF), (0xA8E0, 0xA8FF)),
    "bengali": ((0x0980, 0x09FF),),
    "gurmukhi": ((0x0A00, 0x0A7F),),
    "gujarati": ((0x0A80, 0x0AFF),),
    "oriya": ((0x0B00, 0x0B7F),),
    "tamil": ((0x0B80, 0x0BFF),),
    "telugu": ((0x0C00, 0x0C7F),),
    "kannada": ((0x0C80, 0x0CFF),),
    "malayalam": ((0x0D00, 0x0D7F),),
    "ol-chiki": ((0x1C50, 0x1C7F),),
    "meetei-mayek": ((0xABC0, 0xABFF), (0xAAE0, 0xAAFF)),
    "arabic": ((0x0600, 0x06FF), (0x0750, 0x077F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFE)),
}


def fonts_for(texts: Iterable[str]) -> list[str]:
    """Return the fonts that texts need beside the base, in the order of their first letters."""
    found = {}
    for text in texts:
        if not text.isascii():
            for character in text:
                if (name := _font_of(ord(character))) is not None:
                    found[name] = True
    return list(found)


def cut(name: str, texts: Iterable[str]) -> bytes:
    """Return the subset of a font that these texts need. It blocks."""
    # Here, because the import takes long.
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    with TTFont(FOLDER / f"{name}.ttf", recalcTimestamp=False) as font:
        cutter = Subsetter(Options(layout_features=["*"], notdef_outline=True))
        # Browsers draw a vowel whose halves stand on both sides of a consonant as its two parts.
        letters = {ord(c) for text in texts for c in text + unicodedata.normalize("NFD", text)}
        cutter.populate(unicodes=letters | set(_JOINERS))
        cutter.subset(font)
        file = BytesIO()
        font.save(file)
    return file.getvalue()


def range_of(name: str) -> str:
    """Return the characters for which a font is meant, as CSS has it."""
    blocks = (*_BLOCKS[name], *((code, code) for code in _JOINERS))
    return ",".join(f"U+{first:X}-{last:X}" for first, last in blocks)


def _font_of(code: int) -> str | None:
    for name, blocks in _BLOCKS.items():
        if any(first <= code <= last for first, last in blocks):
            return name
    return None


def is_invisible(character: str) -> bool:
    """Return whether a character is a joiner or a variation selector, which has no glyph of its own."""
    return unicodedata.category(character) == "Cf" or 0xFE00 <= ord(character) <= 0xFE0F
