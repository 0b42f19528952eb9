"""The report of an import, of which millions of lines must not stay in memory."""

from kernapay.express_import.comparison import Comparison
from kernapay.express_import.report import CANNOT_MOVE, Report


def test_a_report_keeps_the_first_lines_and_hands_all_of_them_on() -> None:
    written: list[tuple[str, str]] = []
    report = Report(write=lambda kind, line: written.append((kind, line)))
    assert not report.has_open
    for number in range(1000):
        report.note(CANNOT_MOVE, f"payment {number}")
    assert report.has_open
    assert (report.listed[CANNOT_MOVE], len(written)) == (1000, 1000)
    assert report.beginnings[CANNOT_MOVE] == [f"payment {number}" for number in range(10)]

    comparison = Comparison()
    for number in range(1000):
        comparison.note(f"payment {number}")
    assert (comparison.differences, len(comparison.beginnings)) == (1000, 10)
