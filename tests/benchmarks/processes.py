"""What processes cost."""

from os import sysconf
from pathlib import Path

from kernapay.devstack.process import Process


def cpu_seconds(process: Process) -> float:
    """Return the CPU seconds that a process has used."""
    stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / sysconf("SC_CLK_TCK")
