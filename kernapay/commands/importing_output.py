"""What `kernapay import` prints."""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kernapay.core.text import show_controls

if TYPE_CHECKING:
    from kernapay.express_import.comparison import Comparison
    from kernapay.express_import.report import Report


def show_report(report: "Report", *, is_dry_run: bool) -> None:
    """Print the counts, and the beginning of each list."""
    verb = "would be" if is_dry_run else "are"
    _show_counts(f"Accounts, as they {verb} here", report.users)
    _show_counts(f"Payments, as they {verb} here", report.payments)
    _show_counts("Amounts", report.units)
    _show_counts("What had another form, and what becomes of it", report.odd)
    if report.sums:
        click.echo("\nStatuses, by the gateway's word")
        for (shown_as, status, currency), (count, amount) in sorted(report.sums.items()):
            click.echo(
                f"  shown as {shown_as:<9} is {status:<9} {count:>8}  {_money(amount, currency)}"
            )
    for kind, count in sorted(report.listed.items()):
        lines = report.beginnings[kind]
        click.echo(f"\n{kind}: {count}")
        for line in lines:
            click.echo(f"  {show_controls(line)}")
        if count > len(lines):
            click.echo(f"  … and {count - len(lines)} more: --report FILE has all")


@contextmanager
def list_writer(path: Path | None) -> Iterator[Callable[[str, str], object]]:
    """Give a function that writes a line of a list into a file of comma-separated values, or nowhere."""
    if path is None:
        yield lambda kind, line: None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("list", "line"))
        yield lambda kind, line: writer.writerow((kind, line))


def show_comparison(comparison: "Comparison") -> None:
    """Print how both databases compare: counts, sums, and ten payments chosen at random."""
    click.echo("\nBoth databases, read again")
    for name, there in comparison.there.items():
        click.echo(f"  {name:<9} {there:>8} there  {comparison.here[name]:>8} here")
    for (status, currency), (count, here, there) in sorted(comparison.sums.items()):
        is_same = "the same there" if here == there else f"{_money(there, currency)} there"
        click.echo(f"  {status:<9} {count:>8}  {_money(here, currency)}, {is_same}")
    if comparison.samples:
        click.echo(f"\n{len(comparison.samples)} payments chosen at random, there and here")
    for old, new in comparison.samples:
        click.echo(f"  {old.name}  {new.reference_id}")
        click.echo(
            f"    {old.created_at:%Y-%m-%d %H:%M:%SZ}  {old.amount} {old.currency}, {old.status}  ->  "
            f"{_money(new.amount, new.currency)}, {new.status.value}"
        )
    for each in comparison.beginnings:
        click.echo(f"  differs: {show_controls(each)}")
    click.echo(f"{comparison.differences} payment(s) differ from the old rows.")


def _show_counts(title: str, counts: Mapping[str, int]) -> None:
    if counts:
        click.echo(f"\n{title}")
    for name, count in sorted(counts.items()):
        if count:
            click.echo(f"  {count:>8}  {name}")


def _money(amount: int, currency: str) -> str:
    from kernapay.payments.currencies import format_amount

    return format_amount(amount, currency)
