"""Writers of files: each takes lines and returns the next bytes. Use them in a pool thread."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from io import StringIO
from typing import Any, Final, Protocol

import msgspec

from kernapay.core.text import show_controls, show_controls_in_json
from kernapay.payments.exports.tally import COUNT, Tally
from kernapay.payments.exports.values import (
    Line,
    Lines,
    Money,
    Unit,
    Value,
    in_major_units,
    write_time,
)

# Excel takes a file for Windows's own letters unless it begins so.
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# A spreadsheet takes text that starts with one of these for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# What a line of totals begins with.
_TOTAL: Final = "TOTAL"
# Signs without ink, and blanks: some spreadsheets drop them before they look for a formula.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs"})


class Writer(Protocol):
    """Writes one file: `begin` once, `write`, `add_up` perhaps, `finish`; `close` at last, whatever happened before."""

    def begin(self, columns: Sequence[str]) -> bytes: ...

    def write(self, lines: Lines) -> bytes: ...

    def add_up(self, tally: Tally) -> bytes:
        """Write the totals."""

    def finish(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class CsvWriter:
    def __init__(self, unit: Unit, *, has_mark: bool = False, has_totals: bool = False) -> None:
        """With totals, there is one more column, which has the number of lines of a total."""
        self._unit = unit
        self._has_mark = has_mark
        self._columns: Sequence[str] = ()
        self._further: Line = [None] if has_totals else []

    def begin(self, columns: Sequence[str]) -> bytes:
        self._columns = [*columns, COUNT] if self._further else columns
        head = self._write([self._columns])
        return _BYTE_ORDER_MARK + head if self._has_mark else head

    def write(self, lines: Lines) -> bytes:
        return self._write([*line, *self._further] for line in lines)

    def add_up(self, tally: Tally) -> bytes:
        return self._write(
            [_TOTAL, *(total.value_of(name) for name in self._columns[1:])]
            for total in tally.totals()
        )

    def _write(self, lines: Lines) -> bytes:
        text = StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(map(self._cells, lines))
        return text.getvalue().encode()

    def finish(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _cells(self, line: Line) -> Iterator[object]:
        return (_cell(value, self._unit) for value in line)


class JsonLinesWriter:
    """Writes one object for each line. In major units, amounts are text, so that no reader rounds them."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._columns: Sequence[str] = ()
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def begin(self, columns: Sequence[str]) -> bytes:
        self._columns = columns
        return b""

    def write(self, lines: Lines) -> bytes:
        return self._encode(self._object_of(self._columns, line) for line in lines)

    def add_up(self, tally: Tally) -> bytes:
        lines = ([total.value_of(name) for name in tally.names] for total in tally.totals())
        return self._encode({"total": self._object_of(tally.names, line)} for line in lines)

    def finish(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _encode(self, objects: Iterable[Any]) -> bytes:
        return show_controls_in_json(self._encoder.encode_lines(objects))

    def _object_of(self, names: Sequence[str], line: Line) -> dict[str, Any]:
        values = (_json_value(value, self._unit) for value in line)
        return dict(zip(names, values, strict=True))


def _json_value(value: Value, unit: Unit) -> Any:
    match value:
        case Money():
            return in_major_units(value) if unit is Unit.MAJOR else value.amount
        case datetime():
            return write_time(value)
    return value


def _cell(value: Value, unit: Unit) -> object:
    match value:
        case Money() | datetime():
            return _json_value(value, unit)
        case date():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case Mapping():
            return defuse(json_text(value)) if value else None
        case str():
            return defuse(show_controls(value))
    return value


def json_text(value: Mapping[str, Any]) -> str:
    """Return a mapping as JSON for a cell."""
    return show_controls(msgspec.json.encode(value, enc_hook=str).decode())


def defuse(text: str) -> str:
    """Return a text with `'` in front if a spreadsheet would run it, also after invisible characters."""
    return f"'{text}" if _is_formula(text) else text


def _is_formula(text: str) -> bool:
    first = next((each for each in text if each in _FORMULA or not _is_blank(each)), "")
    # Full-width and small forms of these signs begin a formula as well.
    return unicodedata.normalize("NFKC", first) in _FORMULA


def _is_blank(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE
