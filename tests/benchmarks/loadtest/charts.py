"""Charts of what happened over time: as blocks in the terminal, as SVG in a page."""

from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

from tests.benchmarks.loadtest.recorder import Second

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_COLORS: Final = ("#2563eb", "#dc2626", "#16a34a", "#9333ea", "#ea580c", "#0891b2", "#475569")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 860, 180, 64, 34, 24


class Line(NamedTuple):
    """A line of a chart. A second without a value leaves a gap."""

    name: str
    values: Sequence[float | None]


class Chart(NamedTuple):
    title: str
    unit: str
    lines: list[Line]
    seconds: float = 0.0

    @property
    def top(self) -> float:
        """The largest value."""
        return max((v for line in self.lines for v in line.values if v is not None), default=0.0)


def charts_of(seconds: Sequence[Second]) -> list[Chart]:
    programs = list(dict.fromkeys(name for each in seconds for name in each.memory_mb))
    charts = [
        Chart("Throughput", "calls/s", [Line("calls", [each.per_second for each in seconds])]),
        Chart(
            "Latency",
            "ms",
            [
                Line("p50", [each.p50_ms for each in seconds]),
                Line("p99", [each.p99_ms for each in seconds]),
            ],
        ),
        Chart("Problems", "a second", [Line("problems", [each.errors for each in seconds])]),
        Chart(
            "Memory",
            "MB",
            [Line(name, [each.memory_mb.get(name) for each in seconds]) for name in programs],
        ),
    ]
    end = seconds[-1].at if seconds else 0.0
    return [chart._replace(seconds=end) for chart in charts]


def squeeze(values: Sequence[float | None], width: int) -> list[float | None]:
    """Return at most `width` values: the largest of each stretch."""
    if len(values) <= width:
        return list(values)
    edges = [len(values) * number // width for number in range(width + 1)]
    stretches = (values[start:end] for start, end in pairwise(edges))
    return [max((v for v in each if v is not None), default=None) for each in stretches]


def blocks(values: Sequence[float | None], width: int, height: int = 1) -> list[str]:
    """Return lines of text that show the values as columns, from 0 to the largest."""
    shown = [value or 0.0 for value in squeeze(values, width)]
    top = max(shown, default=0.0) or 1.0
    eighths = [round(value / top * height * 8) for value in shown]
    return [
        "".join(_EIGHTHS[min(8, max(0, each - row * 8))] for each in eighths)
        for row in reversed(range(height))
    ]


def draw(chart: Chart, width: int, height: int = 5) -> str:
    """Return the chart as text. Each of its lines has a chart of its own."""
    parts = []
    for line in chart.lines:
        known = [value for value in line.values if value is not None]
        name = "" if len(chart.lines) == 1 else f" {line.name}"
        scale = f"0 to {max(known, default=0):,.0f} {chart.unit}"
        rows = blocks(line.values, width, height if len(chart.lines) < 3 else 1)
        parts += [f"{chart.title}{name}, {scale}", *(f"  {row}" for row in rows)]
    return "\n".join(parts)


def _path(line: Line, x: Callable[[int], float], y: Callable[[float], float]) -> str:
    """Return the strokes of a line. It begins anew behind a gap."""
    strokes, pen = [], "M"
    for number, value in enumerate(line.values):
        if value is None:
            pen = "M"
            continue
        strokes.append(f"{pen}{x(number):.1f} {y(value):.1f}")
        pen = "L"
    return "".join(strokes)


def svg(chart: Chart) -> str:
    """Return the chart as an image for a page."""
    top = chart.top or 1.0
    plot_width, plot_height = _WIDTH - _LEFT - 10, _HEIGHT - _TOP - _BOTTOM
    longest = max((len(line.values) for line in chart.lines), default=1)

    def x(number: int) -> float:
        return _LEFT + plot_width * number / max(1, longest - 1)

    def y(value: float) -> float:
        return _TOP + plot_height * (1 - value / top)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.title)}">',
        f'<text class="title" x="0" y="16">{escape(chart.title)}, {escape(chart.unit)}</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y(top * share):.1f}" '
            f'y2="{y(top * share):.1f}"/>',
            f'<text class="tick" x="{_LEFT - 6}" y="{y(top * share) + 4:.1f}">{top * share:,.0f}</text>',
        ]
    for number, line in enumerate(chart.lines):
        color = _COLORS[number % len(_COLORS)]
        parts += [
            f'<path d="{_path(line, x, y)}" stroke="{color}"/>',
            f'<text x="{180 + number * 90}" y="16" fill="{color}">{escape(line.name)}</text>',
        ]
    parts.append(
        f'<text class="tick" x="{_WIDTH - 10}" y="{_HEIGHT - 6}">{chart.seconds:.0f} s</text></svg>'
    )
    return "\n".join(parts)
