"""A canvas for the pages of a PDF: texts, lines and boxes from top to bottom.

Importing this module takes half a second: do it in a thread, and late.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from fpdf import FPDF

from kernapay.core.qr_codes import rows_of
from kernapay.payments.documents.font_files import BASE, FOLDER, UNKNOWN, fonts_for, is_invisible

Colour = tuple[int, int, int]

INK: Final = (23, 32, 51)
_RULE: Final = (221, 227, 238)
# A5, in millimetres.
_PAGE: Final = (148, 210)
_MARGIN: Final = 12.0
_TOP: Final = 10.0
LEFT: Final = _MARGIN
RIGHT: Final = _PAGE[0] - _MARGIN
WIDTH: Final = RIGHT - LEFT
_BOTTOM: Final = _PAGE[1] - 5.0
CODE: Final = 17.0
_POINT: Final = 25.4 / 72
# Room for the marks above and below the letters of India's scripts.
_LEADING: Final = 1.45


class MissingGlyph(Exception):
    """No font has a character of a text that we wrote ourselves."""


class PdfCanvas(FPDF):
    """Writes from top to bottom. `place` is where the next text begins, in millimetres from the top."""

    def __init__(self, title: str, made_at: datetime, given: Iterable[str]) -> None:
        """`given` are the texts of others: their scripts decide which fonts are embedded."""
        super().__init__(format=_PAGE)
        self.place = _TOP
        self._last_font: str | None = None
        # Otherwise `{nb}` in a text of the payer's becomes the number of pages.
        self.str_alias_nb_pages = ""
        self.set_auto_page_break(False)
        self.set_margin(_MARGIN)
        self.c_margin = 0
        self.set_lang("en-IN")
        self.set_title(title)
        self.set_creation_date(made_at)
        self.add_font(BASE, "", FOLDER / "sans.ttf")
        self.add_font(BASE, "B", FOLDER / "sans-bold.ttf")
        names = fonts_for(given)
        for name in names:
            self.add_font(name, "", FOLDER / f"{name}.ttf")
        self.set_fallback_fonts(names, exact_match=False)
        self.set_text_shaping(True)
        self.add_page()

    def finish(self) -> bytes:
        """Return the document, and close the files of the fonts, which fpdf2 leaves open."""
        try:
            return bytes(self.output())
        finally:
            for font in self.fonts.values():
                font.ttfont.close()  # type: ignore[union-attr]

    def get_fallback_font(self, char: str, style: str = "") -> str | None:
        """Return the font of a character. A joiner or a stop takes the font of the letter before it."""
        last = self._last_font
        is_shared = is_invisible(char) or char in "\N{DEVANAGARI DANDA}\N{DEVANAGARI DOUBLE DANDA}"
        if is_shared and last is not None and self._has(last, char):
            return last
        self._last_font = super().get_fallback_font(char, style)
        return self._last_font

    def draw_code(self, url: str, x: float, y: float) -> None:
        rows = rows_of(url)
        size = CODE / len(rows)
        self.set_fill_color(0)
        for number, row in enumerate(rows):
            for first, length in row:
                # A little wider, so that no hair lines show between the rows.
                self.rect(x + first * size, y + number * size, length * size, size + 0.02, "F")

    def write_text(
        self,
        width: float,
        text: str,
        size: float,
        *,
        bold: bool = False,
        colour: Colour = INK,
        x: float = LEFT,
        align: str = "L",
        is_given: bool = False,
    ) -> None:
        shown = self._fit(text, is_given=is_given)
        self.use(size, bold=bold)
        self.set_text_color(*colour)
        self.set_xy(x, self.place)
        self.multi_cell(
            width, size * _POINT * _LEADING, shown, align=align, new_x="LMARGIN", new_y="NEXT"
        )
        self.place = self.get_y()

    def height_of(
        self, width: float, text: str, size: float, *, bold: bool = False, is_given: bool = False
    ) -> float:
        self.use(size, bold=bold)
        leading = size * _POINT * _LEADING
        shown = self._fit(text, is_given=is_given)
        height = self.multi_cell(width, leading, shown, align="L", dry_run=True, output="HEIGHT")
        return float(height)  # type: ignore[arg-type]

    def use(self, size: float, *, bold: bool) -> None:
        self._last_font = None
        self.set_font(BASE, "B" if bold else "", size)

    def _fit(self, text: str, *, is_given: bool) -> str:
        """Return a text whose characters all have a glyph. Raises MissingGlyph for one of ours that has none."""
        fitting = []
        for character in text:
            if any(self._has(name, character) for name in (BASE, *self._fallback_font_ids)):
                fitting.append(character)
            elif is_invisible(character):
                continue
            elif is_given:
                fitting.append(UNKNOWN)
            else:
                raise MissingGlyph(f"no font has U+{ord(character):04X}")
        return "".join(fitting)

    def _has(self, font: str, character: str) -> bool:
        return ord(character) in self.fonts[font].cmap  # type: ignore[union-attr]

    def need(self, height: float) -> None:
        if self.place + height > _BOTTOM:
            self.add_page()
            self.place = _TOP

    def draw_line(self) -> None:
        self.set_draw_color(*_RULE)
        self.set_line_width(0.2)
        self.line(LEFT, self.place, RIGHT, self.place)

    def fill_box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self.set_fill_color(*colour)
        self.rect(x, y, width, height, style="F", round_corners=True, corner_radius=2)
