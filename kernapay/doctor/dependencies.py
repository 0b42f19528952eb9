"""`kernapay doctor --dependencies`: known vulnerabilities, by pip-audit."""

import importlib.util
import subprocess
import sys
from typing import Final

from kernapay.doctor.findings import Finding, Level

_VULNERABLE: Final = "known vulnerabilit"


def examine_dependencies() -> tuple[Finding, str]:
    """Compare what is installed with the published advisories; the finding, and pip-audit's report."""
    subject = "dependencies"
    if importlib.util.find_spec("pip_audit") is None:
        return Finding(
            Level.FAIL, subject, "pip-audit is not installed", "pip install 'kernapay[dev]'"
        ), ""
    # Only a fixed command line of our own is run.
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return Finding(Level.OK, subject, "no known vulnerabilities"), done.stdout
    if _VULNERABLE in done.stderr:
        return Finding(
            Level.FAIL, subject, "some have known vulnerabilities", "upgrade them"
        ), done.stdout
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].partition(":")[0]
    return Finding(
        Level.FAIL,
        subject,
        f"the advisories could not be read: {reason}",
        "run it where the package index can be reached",
    ), ""
