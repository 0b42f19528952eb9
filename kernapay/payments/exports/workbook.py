"""Excel workbooks (XLSX), written row by row. Use them in a pool thread.

Texts are cells of text, which no program runs, and amounts are numbers. Times are in UTC.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final

from kernapay.core.text import show_controls
from kernapay.payments.currencies import exponent
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import Line, Lines, Money, Unit, Value, in_major_units
from kernapay.payments.exports.writers import json_text

# Excel: a sheet has 1,048,576 rows, of which one is the header.
MOST_LINES: Final = 1_048_575
# Excel: a number has 15 digits. A longer one would be shown as another one, so it is written as text.
_MOST: Final = 10**15
# Excel: days are counted from 1900. An earlier one is written as text.
_FIRST_YEAR: Final = 1901
# Excel: a cell holds 32,767 units of UTF-16, and a character has up to two. The library leaves out what is longer.
_LONGEST: Final = 16_383
_PIECE_BYTES: Final = 65_536
_WIDTH: Final = 16


class WorkbookWriter:
    """Writes one sheet, and another one when that is full. The file is there once it is finished."""

    def __init__(self, name: str, unit: Unit, *, most_lines: int = MOST_LINES) -> None:
        """`name` is that of the sheet."""
        self._name = name
        self._unit = unit
        self._most_lines = most_lines
        self._columns: Sequence[str] = ()
        self._folder: TemporaryDirectory[str] | None = None
        # A thread may still be at work for a caller that has gone away. What it makes is deleted after it.
        self._lock = Lock()
        self._is_closed = False

    def begin(self, columns: Sequence[str]) -> bytes:
        with self._lock:
            if not self._is_closed:
                self._columns = columns
                self._open()
        return b""

    def write(self, lines: Lines) -> bytes:
        with self._lock:
            if not self._is_closed:
                for line in lines:
                    self._add(line)
        return b""

    def add_up(self, tally: Tally) -> bytes:
        """Write the totals to a sheet of their own."""
        with self._lock:
            if not self._is_closed:
                self._open_sheet("totals", tally.names)
                for total in tally.totals():
                    self._add([total.value_of(name) for name in tally.names])
        return b""

    def finish(self) -> Iterator[bytes]:
        """Write the file, and yield what is in it. Raises OSError."""
        from xlsxwriter.exceptions import XlsxFileError

        with self._lock:
            if self._is_closed:
                return
            try:
                self._book.close()
            except XlsxFileError as error:
                raise OSError(str(error)) from error
        with self._path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def close(self) -> None:
        """Delete all that lies on the disk."""
        with self._lock:
            self._is_closed = True
            if self._folder is None:
                return
            # A workbook that is given up: its public `close` would write all of it first.
            for sheet in self._book.worksheets():
                sheet._opt_close()
            self._folder.cleanup()

    def _open(self) -> None:
        # Imported on first use: most processes write no workbook.
        import xlsxwriter

        prefix = f"kernapay-export-{os.getpid()}-"
        self._folder = TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        self._path = Path(self._folder.name) / "export.xlsx"
        options = {"constant_memory": True, "tmpdir": self._folder.name}
        self._book = xlsxwriter.Workbook(str(self._path), options)
        self._book.use_zip64()
        # The same bytes for the same rows.
        self._book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        self._header = self._book.add_format({"bold": True})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._decimals = {
            places: self._book.add_format({"num_format": f"0.{'0' * places}" if places else "0"})
            for places in (0, 2, 3)
        }
        self._sheets = 0
        self._add_sheet()

    def _add(self, line: Line) -> None:
        if self._row > self._most_lines:
            self._add_sheet()
        self._write_line(line)
        self._row += 1

    def _add_sheet(self) -> None:
        self._sheets += 1
        suffix = f" {self._sheets}" if self._sheets > 1 else ""
        self._open_sheet(f"{self._name}{suffix}", self._columns)

    def _open_sheet(self, name: str, columns: Sequence[str]) -> None:
        self._sheet: Any = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        self._sheet.set_column(0, len(columns) - 1, _WIDTH)
        for place, column in enumerate(columns):
            self._sheet.write_string(0, place, column, self._header)
        self._row = 1

    def _write_line(self, line: Line) -> None:
        for place, value in enumerate(line):
            # Each by its type. The one `write` for all would run what looks like a formula.
            match value:
                case None:
                    pass
                case Money():
                    self._write_money(place, value)
                case bool():
                    self._sheet.write_boolean(self._row, place, value)
                case int() if abs(value) < _MOST:
                    self._sheet.write_number(self._row, place, value)
                case date() if value.year >= _FIRST_YEAR:
                    self._write_day_or_time(place, value)
                case _:
                    self._write_text(place, value)

    def _write_money(self, place: int, money: Money) -> None:
        if abs(money.amount) >= _MOST:
            text = in_major_units(money) if self._unit is Unit.MAJOR else str(money.amount)
            self._sheet.write_string(self._row, place, text)
        elif self._unit is Unit.MAJOR:
            # With at most 15 digits, the nearest double reads as the very same decimal number.
            number = float(in_major_units(money))
            decimals = self._decimals[exponent(money.currency)]
            self._sheet.write_number(self._row, place, number, decimals)
        else:
            self._sheet.write_number(self._row, place, money.amount)

    def _write_day_or_time(self, place: int, at: date) -> None:
        if isinstance(at, datetime):
            at = at.astimezone(UTC).replace(tzinfo=None)
            self._sheet.write_datetime(self._row, place, at, self._time)
        else:
            self._sheet.write_datetime(self._row, place, at, self._day)

    def _write_text(self, place: int, value: Value) -> None:
        if isinstance(value, Mapping):
            text = json_text(value) if value else ""
        else:
            text = show_controls(str(value))
        if len(text) > _LONGEST:
            text = text[: _LONGEST - 1] + "…"
        if text:
            self._sheet.write_string(self._row, place, text)
