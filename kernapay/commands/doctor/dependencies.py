"""`kernapay doctor --dependencies`: known vulnerabilities, found by pip-audit."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from kernapay.commands.doctor.findings import Finding, Level

_SUBJECT: Final = "dependencies"
_OURS: Final = "kernapay"


class _Advisory(msgspec.Struct):
    id: str
    fix_versions: list[str] = []


class _Dependency(msgspec.Struct):
    name: str
    version: str = ""
    vulns: list[_Advisory] = []
    skip_reason: str | None = None


class _Report(msgspec.Struct):
    """The output of `pip-audit --format json`."""

    dependencies: list[_Dependency]


def examine_dependencies() -> Iterator[Finding]:
    """Compare the installed packages with the published advisories."""
    if importlib.util.find_spec("pip_audit") is None:
        yield Finding(
            Level.FAIL, _SUBJECT, "pip-audit is not installed", "pip install 'kernapay[dev]'"
        )
        return
    options = ("--format", "json", "--skip-editable", "--progress-spinner", "off")
    # The command line is fixed.
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip_audit", *options], capture_output=True, check=False
    )
    yield from judge(result.stdout, result.stderr.decode(errors="replace"))


def judge(report: bytes, messages: str) -> Iterator[Finding]:
    """Return the findings for pip-audit's report and its messages on standard error.

    Its exit code is not used: it is 0 even if no package could be audited.
    """
    try:
        dependencies = msgspec.json.decode(report, type=_Report).dependencies
    except msgspec.DecodeError:
        reason = (messages.strip().splitlines() or ["no reason given"])[-1].partition(":")[0]
        yield Finding(
            Level.FAIL,
            _SUBJECT,
            f"the advisories could not be read: {reason}",
            "run this command where pypi.org can be reached.",
        )
        return
    # KernaPay itself is not on a package index.
    others = [each for each in dependencies if each.name != _OURS]
    vulnerable = [each for each in others if each.vulns]
    for each in vulnerable:
        fixed = sorted({version for advisory in each.vulns for version in advisory.fix_versions})
        yield Finding(
            Level.FAIL,
            _SUBJECT,
            f"{each.name} {each.version}: {', '.join(advisory.id for advisory in each.vulns)}",
            f"upgrade {each.name} to {' or '.join(fixed)}."
            if fixed
            else f"replace {each.name}: no version without the vulnerability exists.",
        )
    unknown = [each.name for each in others if each.skip_reason is not None]
    audited = len(others) - len(unknown)
    if unknown or not others:
        yield Finding(
            Level.FAIL if len(unknown) >= audited else Level.WARN,
            _SUBJECT,
            f"{len(unknown)} of {len(others)} could not be audited{_some(unknown)}",
            "run this command where a package index that has these packages can be reached.",
        )
    elif not vulnerable:
        yield Finding(Level.OK, _SUBJECT, f"no known vulnerabilities in {audited}")


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f": {', '.join(names[:limit])}{more}" if names else ""
