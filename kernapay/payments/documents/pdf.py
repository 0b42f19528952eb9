"""Lay a sheet out as PDF. Importing this module takes half a second: do it in a thread, and late."""

from collections.abc import Sequence
from typing import Final

from kernapay.payments.documents.pdf_canvas import CODE, INK, LEFT, RIGHT, WIDTH, Colour, PdfCanvas
from kernapay.payments.documents.sheet import Fact, Line, Sheet

_SOFT: Final = (85, 96, 121)
_RAISED: Final = (248, 249, 252)
_GOOD: Final = (15, 107, 77)
_BACK: Final = (106, 63, 181)
_WARN: Final = (133, 86, 0)
_FOOTER: Final = 176.0
_TONES: Final = {"soft": _SOFT, "strong": INK, "back": _BACK, "total": INK}


def draw(sheet: Sheet) -> bytes:
    """Return the sheet as PDF, the same bytes each time. It blocks. Raises MissingGlyph."""
    return _Layout(sheet).draw()


class _Layout:
    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._accent = _BACK if sheet.is_note else _GOOD
        self._canvas = PdfCanvas(f"{sheet.title} {sheet.number}", sheet.made_at, sheet.given)

    def draw(self) -> bytes:
        try:
            self._head()
            self._sum()
            self._table()
            self._box(self._sheet.facts)
            self._foot()
        finally:
            document = self._canvas.finish()
        return document

    def _head(self) -> None:
        sheet = self._sheet
        top = self._canvas.place
        self._canvas.write_text(60, sheet.title, 15, bold=True, x=76, align="R")
        self._canvas.place = top
        self._canvas.write_text(72, sheet.seller, 13, bold=True, is_given=True)
        start = max(self._canvas.place, top + 9)
        self._canvas.place = start
        for line in (sheet.number, sheet.day):
            self._canvas.write_text(60, line, 8, colour=_SOFT, x=76, align="R")
        right, self._canvas.place = self._canvas.place, start
        for line in sheet.address:
            self._canvas.write_text(72, line, 8, colour=_SOFT, is_given=True)
        self._canvas.place = max(self._canvas.place, right) + 3
        self._canvas.draw_line()
        if sheet.banner:
            self._canvas.place += 3
            self._canvas.fill_box(LEFT, self._canvas.place, WIDTH, 7, _tint(_WARN))
            self._canvas.place += 1.4
            self._canvas.write_text(WIDTH, sheet.banner, 8.5, bold=True, colour=_WARN, align="C")
            self._canvas.place += 1.4

    def _sum(self) -> None:
        sheet = self._sheet
        self._canvas.place += 4
        top = self._canvas.place
        self._canvas.fill_box(100, top + 1, 36, 14, _tint(self._accent))
        self._canvas.place = top + 2.6
        self._canvas.write_text(
            36, sheet.stamp, 11, bold=True, colour=self._accent, x=100, align="C"
        )
        self._canvas.write_text(36, sheet.stamp_time, 7, colour=self._accent, x=100, align="C")
        self._canvas.place = top
        self._canvas.write_text(84, sheet.party_label, 8, colour=_SOFT)
        self._canvas.write_text(84, sheet.party, 10, is_given=True)
        for line in sheet.party_lines:
            self._canvas.write_text(84, line, 8, colour=_SOFT, is_given=True)
        self._canvas.place += 0.8
        self._canvas.use(24, bold=True)
        size = 24 * min(1.0, 84 / self._canvas.get_string_width(sheet.amount))
        self._canvas.write_text(WIDTH, sheet.amount, size, bold=True)
        self._canvas.write_text(WIDTH, sheet.words, 8, colour=_SOFT)
        self._canvas.place += 3.4

    def _table(self) -> None:
        sheet = self._sheet
        self._pair("For", "Amount", 8, _SOFT)
        self._canvas.place += 0.8
        self._canvas.draw_line()
        self._canvas.place += 1.8
        self._pair(sheet.item, sheet.item_amount, 9.5, INK, is_given=True)
        if sheet.item_note:
            self._canvas.write_text(88, sheet.item_note, 8, colour=_SOFT, is_given=True)
        self._canvas.place += 1.6
        self._canvas.draw_line()
        self._canvas.place += 1.6
        for line in sheet.lines:
            self._row(line)
        self._canvas.place += 3.4

    def _row(self, line: Line) -> None:
        is_bold = line.tone in ("strong", "total")
        size = 8 if line.tone == "soft" else 9.5
        self._pair(line.label, line.amount, size, _TONES[line.tone], bold=is_bold)
        self._canvas.place += 0.2 if line.tone == "soft" else 0.6

    def _pair(
        self,
        left: str,
        right: str,
        size: float,
        colour: Colour,
        *,
        bold: bool = False,
        is_given: bool = False,
    ) -> None:
        """Write a text on the left and an amount on the right of one row."""
        self._canvas.use(size, bold=bold)
        room = max(34.0, self._canvas.get_string_width(right) + 2)
        width = WIDTH - room - 2
        self._canvas.need(self._canvas.height_of(width, left, size, bold=bold, is_given=is_given))
        top = self._canvas.place
        self._canvas.write_text(width, left, size, bold=bold, colour=colour, is_given=is_given)
        below, self._canvas.place = self._canvas.place, top
        self._canvas.write_text(
            room, right, size, bold=bold, colour=colour, x=RIGHT - room, align="R"
        )
        self._canvas.place = max(below, self._canvas.place)

    def _box(self, facts: Sequence[Fact]) -> None:
        rows: list[list[Fact]] = []
        for fact in facts:
            if not fact.is_wide and rows and len(rows[-1]) == 1 and not rows[-1][0].is_wide:
                rows[-1].append(fact)
            else:
                rows.append([fact])
        heights = [
            4
            + max(
                self._canvas.height_of(_width_of(f), f.value, 8, is_given=f.is_given) for f in row
            )
            for row in rows
        ]
        self._canvas.need(sum(heights) + 1.4 * len(rows) + 5)
        self._canvas.fill_box(
            LEFT, self._canvas.place, WIDTH, sum(heights) + 1.4 * (len(rows) - 1) + 5, _RAISED
        )
        self._canvas.place += 2.5
        for row, height in zip(rows, heights, strict=True):
            top = self._canvas.place
            for place, fact in enumerate(row):
                x = LEFT + 5 + place * 59
                self._canvas.place = top
                self._canvas.write_text(_width_of(fact), fact.name, 7, colour=_SOFT, x=x)
                self._canvas.place = top + 4
                self._canvas.write_text(_width_of(fact), fact.value, 8, x=x, is_given=fact.is_given)
            self._canvas.place = top + height + 1.4

    def _foot(self) -> None:
        sheet = self._sheet
        texts = [*sheet.footer]
        if sheet.check_url:
            texts.append(f"Check this paper: {sheet.check_url}")
        width = WIDTH - CODE - 4 if sheet.check_url else WIDTH
        self._canvas.place += 2
        self._canvas.need(max(CODE, 4.0 * len(texts)) + 2)
        self._canvas.place = max(self._canvas.place, _FOOTER)
        self._canvas.draw_line()
        self._canvas.place += 2
        top = self._canvas.place
        for text in texts:
            self._canvas.write_text(width, text, 7, colour=_SOFT)
        if sheet.check_url:
            self._canvas.draw_code(sheet.check_url, RIGHT - CODE, top)


def _width_of(fact: Fact) -> float:
    return WIDTH - 10 if fact.is_wide else 55


def _tint(colour: Colour) -> Colour:
    red, green, blue = (round(part * 0.09 + 255 * 0.91) for part in colour)
    return red, green, blue
