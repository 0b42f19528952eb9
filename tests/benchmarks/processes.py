"""What processes cost."""

from os import sysconf
from pathlib import Path

from kernapay.devstack.process import Process


def cpu_seconds(process: Process) -> float:
    """Return the CPU seconds that a process has used."""
    assert process.pid is not None
    return cpu_of(process.pid)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that the process with this id has used."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / sysconf("SC_CLK_TCK")


def only_child_of(pid: int) -> int:
    """Return the id of the only child of a process: of an API, its worker."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
