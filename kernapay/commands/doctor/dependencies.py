"""`kernapay doctor --dependencies`: known vulnerabilities, by pip-audit."""

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
    """What `pip-audit --format json` writes."""

    dependencies: list[_Dependency]


def examine_dependencies() -> Iterator[Finding]:
    """Compare what is installed with the published advisories."""
    if importlib.util.find_spec("pip_audit") is None:
        yield Finding(
            Level.FAIL, _SUBJECT, "pip-audit is not installed", "pip install 'kernapay[dev]'"
        )
        return
    options = ("--format", "json", "--skip-editable", "--progress-spinner", "off")
    # Only a fixed command line of our own is run.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip_audit", *options], capture_output=True, check=False
    )
    yield from judge(done.stdout, done.stderr.decode(errors="replace"))


def judge(report: bytes, said: str) -> Iterator[Finding]:
    """Say what pip-audit's report, and what it said beside it, come to.

    Its exit code is 0 also when it could audit nothing, so that is not asked.
    """
    try:
        found = msgspec.json.decode(report, type=_Report).dependencies
    except msgspec.DecodeError:
        reason = (said.strip().splitlines() or ["no reason given"])[-1].partition(":")[0]
        yield Finding(
            Level.FAIL,
            _SUBJECT,
            f"the advisories could not be read: {reason}",
            "run it where the package index can be reached",
        )
        return
    # We are on no package index.
    others = [each for each in found if each.name != _OURS]
    vulnerable = [each for each in others if each.vulns]
    for each in vulnerable:
        fixed = sorted({version for advisory in each.vulns for version in advisory.fix_versions})
        yield Finding(
            Level.FAIL,
            _SUBJECT,
            f"{each.name} {each.version}: {', '.join(advisory.id for advisory in each.vulns)}",
            f"upgrade it ({', '.join(fixed)})"
            if fixed
            else "replace it: there is no fixed version",
        )
    unknown = [each.name for each in others if each.skip_reason is not None]
    audited = len(others) - len(unknown)
    if unknown or not others:
        yield Finding(
            Level.FAIL if len(unknown) >= audited else Level.WARN,
            _SUBJECT,
            f"{len(unknown)} of {len(others)} could not be audited{_some(unknown)}",
            "run it where the package index, with these on it, can be reached",
        )
    elif not vulnerable:
        yield Finding(Level.OK, _SUBJECT, f"no known vulnerabilities in {audited}")


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f": {', '.join(names[:most])}{more}" if names else ""
