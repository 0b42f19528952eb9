"""Make QR codes: as runs of dark modules, or as an SVG path. Each takes some milliseconds of CPU."""

from itertools import groupby
from typing import NamedTuple

import segno

Runs = list[tuple[int, int]]


def rows_of(text: str) -> list[Runs]:
    """Return the rows of a code. Each has the first column and the length of every dark run."""
    rows = []
    for modules in segno.make_qr(text, error="m").matrix:
        runs: Runs = []
        column = 0
        for is_dark, group in groupby(modules, bool):
            length = len(list(group))
            if is_dark:
                runs.append((column, length))
            column += length
        rows.append(runs)
    return rows


class Drawing(NamedTuple):
    """A code as a path of SVG in a square of `size` modules. It needs four light modules around it."""

    size: int
    path: str


def draw(text: str) -> Drawing:
    """Return the code of a text as a path, whose area is dark."""
    rows = rows_of(text)
    path = "".join(
        f"M{first} {row}h{length}v1h-{length}z"
        for row, runs in enumerate(rows)
        for first, length in runs
    )
    return Drawing(len(rows), path)
