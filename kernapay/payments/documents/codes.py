"""QR codes, as runs of dark modules that any drawing can use."""

from itertools import groupby

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
