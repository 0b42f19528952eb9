"""Draw a statement as PDF. Importing this module takes half a second: do it in a thread, and late."""

from typing import Final

from kernapay.payments.documents.pdf_canvas import INK, LEFT, RIGHT, WIDTH, Colour, PdfCanvas
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
    canvas = PdfCanvas(f"Statement {sheet.month}", sheet.made_at, sheet.given)
    try:
        _head(canvas, sheet)
        for rows in sheet.figures:
            _figures(canvas, rows)
        for grid in sheet.grids:
            _grid(canvas, grid)
        canvas.place += 4
        for text in sheet.footer:
            canvas.need(4)
            canvas.write_text(WIDTH, text, 7, colour=_SOFT)
    finally:
        document = canvas.finish()
    return document


def _head(canvas: PdfCanvas, sheet: StatementSheet) -> None:
    top = canvas.place
    canvas.write_text(60, "Statement", 15, bold=True, x=RIGHT - 60, align="R")
    canvas.write_text(60, sheet.month, 10, colour=_SOFT, x=RIGHT - 60, align="R")
    right, canvas.place = canvas.place, top
    canvas.write_text(60, sheet.seller, 13, bold=True, is_given=True)
    canvas.place = max(canvas.place, right) + 3
    canvas.draw_line()
    if sheet.banner:
        canvas.place += 3
        canvas.fill_box(LEFT, canvas.place, WIDTH, 7, _WARN_TINT)
        canvas.place += 1.4
        canvas.write_text(WIDTH, sheet.banner, 8.5, bold=True, colour=_WARN, align="C")
        canvas.place += 1.4
    canvas.place += 3
    canvas.write_text(WIDTH, "For", 8, colour=_SOFT)
    canvas.write_text(WIDTH, sheet.provider, 11, bold=True, is_given=True)
    canvas.write_text(WIDTH, sheet.provider_id, 8, colour=_SOFT)
    canvas.write_text(WIDTH, sheet.period, 8, colour=_SOFT)
    canvas.place += 3


def _figures(canvas: PdfCanvas, rows: tuple[Amount, ...]) -> None:
    canvas.need(6.0 * len(rows))
    for row in rows:
        is_total = row.tone == "total"
        if is_total:
            canvas.place += 0.6
            canvas.draw_line()
            canvas.place += 1.2
        size = 8.0 if row.tone == "soft" else 9.5
        colour: Colour = _SOFT if row.tone == "soft" else INK
        top = canvas.place
        canvas.write_text(WIDTH - _ROOM, row.label, size, bold=is_total, colour=colour)
        below, canvas.place = canvas.place, top
        x = RIGHT - _ROOM
        canvas.write_text(_ROOM, row.amount, size, bold=is_total, colour=colour, x=x, align="R")
        canvas.place = max(below, canvas.place) + 0.8
    canvas.place += 3


def _grid(canvas: PdfCanvas, grid: Grid) -> None:
    canvas.need(18)
    canvas.place += 2
    canvas.write_text(WIDTH, grid.title, 9.5, bold=True)
    canvas.place += 0.8
    _row(canvas, grid, grid.heads, 7, _SOFT)
    canvas.draw_line()
    canvas.place += 1
    for number, row in enumerate(grid.rows):
        canvas.need(5)
        if number % 2:
            canvas.fill_box(LEFT - 1, canvas.place - 0.3, WIDTH + 2, 4.6, _RAISED)
        _row(canvas, grid, row, 8, INK)
        canvas.place += 0.5


def _row(
    canvas: PdfCanvas, grid: Grid, cells: tuple[str, ...], size: float, colour: Colour
) -> None:
    top = canvas.place
    amounts = len(cells) - grid.texts
    texts = (WIDTH - amounts * _COLUMN) / grid.texts
    below = top
    for number, cell in enumerate(cells):
        canvas.place = top
        if number < grid.texts:
            canvas.write_text(
                texts, cell, size, colour=colour, x=LEFT + number * texts, is_given=True
            )
        else:
            x = RIGHT - (len(cells) - number) * _COLUMN
            canvas.write_text(_COLUMN, cell, size, colour=colour, x=x, align="R")
        below = max(below, canvas.place)
    canvas.place = below
