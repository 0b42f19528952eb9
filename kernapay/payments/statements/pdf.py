"""Draw a statement as PDF. Importing this module takes half a second: do it in a thread, and late."""

from typing import Final

from kernapay.payments.documents.pen import INK, LEFT, RIGHT, WIDTH, Colour, Pen
from kernapay.payments.statements.sheet import Amount, Grid, StatementSheet

_SOFT: Final = (85, 96, 121)
_RAISED: Final = (248, 249, 252)
_WARN: Final = (133, 86, 0)
_WARN_TINT: Final = (244, 240, 232)
_ROOM: Final = 40.0
# Of a column of amounts.
_COLUMN: Final = 32.0


def draw(sheet: StatementSheet) -> bytes:
    """Return the sheet as PDF, the same bytes each time. It blocks. Raises MissingGlyph."""
    pen = Pen(f"Statement {sheet.month}", sheet.made_at, sheet.given)
    try:
        _head(pen, sheet)
        for rows in sheet.figures:
            _figures(pen, rows)
        for grid in sheet.grids:
            _grid(pen, grid)
        pen.place += 4
        for text in sheet.footer:
            pen.need(4)
            pen.write_text(WIDTH, text, 7, colour=_SOFT)
    finally:
        document = pen.finish()
    return document


def _head(pen: Pen, sheet: StatementSheet) -> None:
    top = pen.place
    pen.write_text(60, "Statement", 15, bold=True, x=RIGHT - 60, align="R")
    pen.write_text(60, sheet.month, 10, colour=_SOFT, x=RIGHT - 60, align="R")
    right, pen.place = pen.place, top
    pen.write_text(60, sheet.seller, 13, bold=True, is_given=True)
    pen.place = max(pen.place, right) + 3
    pen.draw_line()
    if sheet.banner:
        pen.place += 3
        pen.fill_box(LEFT, pen.place, WIDTH, 7, _WARN_TINT)
        pen.place += 1.4
        pen.write_text(WIDTH, sheet.banner, 8.5, bold=True, colour=_WARN, align="C")
        pen.place += 1.4
    pen.place += 3
    pen.write_text(WIDTH, "For", 8, colour=_SOFT)
    pen.write_text(WIDTH, sheet.provider, 11, bold=True, is_given=True)
    pen.write_text(WIDTH, sheet.provider_id, 8, colour=_SOFT)
    pen.write_text(WIDTH, sheet.period, 8, colour=_SOFT)
    pen.place += 3


def _figures(pen: Pen, rows: tuple[Amount, ...]) -> None:
    pen.need(6.0 * len(rows))
    for row in rows:
        is_total = row.tone == "total"
        if is_total:
            pen.place += 0.6
            pen.draw_line()
            pen.place += 1.2
        size = 8.0 if row.tone == "soft" else 9.5
        colour: Colour = _SOFT if row.tone == "soft" else INK
        top = pen.place
        pen.write_text(WIDTH - _ROOM, row.label, size, bold=is_total, colour=colour)
        below, pen.place = pen.place, top
        x = RIGHT - _ROOM
        pen.write_text(_ROOM, row.amount, size, bold=is_total, colour=colour, x=x, align="R")
        pen.place = max(below, pen.place) + 0.8
    pen.place += 3


def _grid(pen: Pen, grid: Grid) -> None:
    pen.need(18)
    pen.place += 2
    pen.write_text(WIDTH, grid.title, 9.5, bold=True)
    pen.place += 0.8
    _row(pen, grid, grid.heads, 7, _SOFT)
    pen.draw_line()
    pen.place += 1
    for number, row in enumerate(grid.rows):
        pen.need(5)
        if number % 2:
            pen.fill_box(LEFT - 1, pen.place - 0.3, WIDTH + 2, 4.6, _RAISED)
        _row(pen, grid, row, 8, INK)
        pen.place += 0.5


def _row(pen: Pen, grid: Grid, cells: tuple[str, ...], size: float, colour: Colour) -> None:
    top = pen.place
    amounts = len(cells) - grid.texts
    texts = (WIDTH - amounts * _COLUMN) / grid.texts
    below = top
    for number, cell in enumerate(cells):
        pen.place = top
        if number < grid.texts:
            pen.write_text(texts, cell, size, colour=colour, x=LEFT + number * texts, is_given=True)
        else:
            x = RIGHT - (len(cells) - number) * _COLUMN
            pen.write_text(_COLUMN, cell, size, colour=colour, x=x, align="R")
        below = max(below, pen.place)
    pen.place = below
