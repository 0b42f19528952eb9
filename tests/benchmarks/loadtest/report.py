"""What is shown while the load runs, and what is left of it: a table, charts, JSON, a page."""

from collections.abc import Mapping
from html import escape
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tests.benchmarks.loadtest.charts import blocks, charts_of, draw, svg
from tests.benchmarks.loadtest.recorder import Recorder, Second, Totals, percentiles

VERSION: Final = 1
_WIDTH: Final = 72
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2em auto; color: #1e293b; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .25em .6em; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #e2e8f0; }
svg { width: 100%; margin-top: 1em; } path { fill: none; stroke-width: 1.5; } .grid { stroke: #e2e8f0; }
text { font-size: 12px; } .tick { text-anchor: end; fill: #64748b; } .title { font-weight: 600; }
.good { color: #15803d; } .bad { color: #b91c1c; } pre { background: #f1f5f9; padding: 1em; overflow: auto; }
"""


class Audit(msgspec.Struct):
    """How `kernapay audit` ended, and what it said."""

    exit_code: int
    output: str


class Report(msgspec.Struct):
    """One run, as it is kept in a file."""

    at: str
    commit: str
    clients: int
    seconds: int
    calls: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    problems: dict[str, int]
    totals: dict[str, Totals]
    audit: Audit
    timeline: list[Second]
    version: int = VERSION

    @property
    def has_passed(self) -> bool:
        return self.audit.exit_code == 0 and not self.errors


def summarize(
    recorder: Recorder, seconds: int, clients: int, at: str, commit: str, audit: Audit
) -> Report:
    p50, p99 = percentiles(recorder.all_latencies())
    return Report(
        at=at,
        commit=commit,
        clients=clients,
        seconds=seconds,
        calls=recorder.calls,
        per_second=recorder.calls / seconds,
        p50_ms=p50,
        p99_ms=p99,
        errors=recorder.errors,
        problems=dict(recorder.problems),
        totals=recorder.totals(),
        audit=audit,
        timeline=recorder.seconds,
    )


def live_view(recorder: Recorder, left: float, clients: int) -> RenderableType:
    """Return what the screen shows while the load runs."""
    seconds = recorder.seconds
    head = (
        f"{left:.0f} s left, {clients} customers, {recorder.calls:,} calls, "
        f"{recorder.errors:,} problems"
    )
    parts: list[RenderableType] = [Text(head, style="bold red" if recorder.errors else "bold")]
    last = seconds[-1] if seconds else Second(0.0)
    for name, values, now in (
        ("calls/s", [each.per_second for each in seconds], f"{last.per_second:.0f}"),
        ("p99 ms", [each.p99_ms for each in seconds], f"{last.p99_ms or 0:.0f}"),
    ):
        (row,) = blocks(values[-_WIDTH:], _WIDTH)
        parts.append(Text(f"{name:<8}{row} {now}"))
    memory = "  ".join(f"{name} {size:,.0f} MB" for name, size in last.memory_mb.items())
    return Group(*parts, Text(memory), _table(recorder.totals()))


def _table(totals: Mapping[str, Totals]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("call")
    for name in ("calls", "p50 ms", "p99 ms", "worst ms", "problems", "statuses"):
        table.add_column(name, justify="right")
    for name, each in totals.items():
        table.add_row(name, *_cells(each))
    return table


def _cells(each: Totals) -> tuple[str, ...]:
    return (
        f"{each.calls:,}",
        f"{each.p50_ms:,.1f}",
        f"{each.p99_ms:,.1f}",
        f"{each.worst_ms:,.0f}",
        f"{each.errors:,}",
        " ".join(f"{status}:{count}" for status, count in sorted(each.statuses.items())),
    )


def final_view(report: Report) -> RenderableType:
    """Return what is printed at the end."""
    head = (
        f"{report.calls:,} calls in {report.seconds} s: {report.per_second:,.0f} a second, "
        f"p50 {report.p50_ms:,.1f} ms, p99 {report.p99_ms:,.1f} ms, {report.errors:,} problems"
    )
    parts: list[RenderableType] = [_table(report.totals), Text(f"\n{head}", style="bold")]
    parts += [Text(draw(chart, _WIDTH)) for chart in charts_of(report.timeline)]
    parts += [Text(f"{n:>6}  {text}", style="red") for text, n in report.problems.items()]
    parts.append(Text(report.audit.output.strip()))
    return Group(*parts)


def page(report: Report) -> str:
    """Return the report as one file of HTML, which loads nothing."""
    head = "".join(f"<th>{name}</th>" for name in ("call", "calls", "p50 ms", "p99 ms", "worst ms"))
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in (name, *_cells(each)))}</tr>"
        for name, each in report.totals.items()
    )
    problems = "".join(f"<li>{n} times {escape(text)}</li>" for text, n in report.problems.items())
    verdict = "good" if report.has_passed else "bad"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Load test, {escape(report.at)}</title><style>{_STYLE}</style>
<h1>Load test</h1>
<p>{escape(report.at)}, {escape(report.commit)}: {report.clients} customers for {report.seconds} s.</p>
<p class="{verdict}">{report.calls:,} calls, {report.per_second:,.0f} a second, p50 {report.p50_ms:,.1f} ms,
p99 {report.p99_ms:,.1f} ms, {report.errors:,} problems.</p>
{"".join(svg(chart) for chart in charts_of(report.timeline))}
<table><tr>{head}<th>problems</th><th>statuses</th></tr>{rows}</table>
<ul class="bad">{problems}</ul>
<h2>Audit</h2><pre>{escape(report.audit.output)}</pre></html>
"""
