"""What processes and the machine used: processor time, memory, cores. Read from /proc, so on Linux only."""

import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
# A server that uses less than this at several looks in a row has nothing left to do: at one, it may have waited for
# a store, or for the core.
_IDLE_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.1
_QUIET_LOOKS: Final = 3


class Cores(NamedTuple):
    """The core of the server that is measured, and those of the load and of the stores."""

    server: frozenset[int]
    others: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.server | self.others

    @property
    def are_apart(self) -> bool:
        return not self.server & self.others


def split_cores() -> Cores:
    """Give one core to the server and the rest to the others. On a single core, they share it."""
    mine = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(mine[:1]), frozenset(mine[1:] or mine))


def model() -> str:
    """Return the name of the processor."""
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def pin(pids: Iterable[int], cores: Iterable[int]) -> None:
    """Keep processes with their threads on these cores. What they start later stays there too."""
    for pid in pids:
        for task in (_PROC / str(pid) / "task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def family(pid: int) -> list[int]:
    """Return the process and its descendants."""
    children: dict[int, list[int]] = {}
    for child, fields in _all_stats():
        children.setdefault(int(fields[1]), []).append(child)
    found = [pid]
    for each in found:
        found += children.get(each, ())
    return found


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            # It may have ended meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                yield int(entry.name), _stat(int(entry.name))


def _stat(pid: int) -> list[str]:
    """Return the fields behind the name, from the state on."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes with all their threads."""
    # Linux: the clock of a process, which unlike /proc/PID/stat does not count in hundredths of a second.
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def resident_megabytes(pids: Iterable[int]) -> float:
    """Return the resident memory of the largest of these processes."""
    sizes = []
    for pid in pids:
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                sizes.append(int(line.split()[1]) / 1024)
    return max(sizes)


def own_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def busy_seconds() -> float:
    """Return the processor time that anybody used on this machine, or that its host took from it."""
    # user nice system idle iowait irq softirq steal
    fields = [int(each) for each in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def wait_until_idle(pids: Iterable[int], timeout: float) -> None:
    """Wait until the processes have nothing left to do. Raises TimeoutError after `timeout` seconds."""
    pids = tuple(pids)
    deadline = time.monotonic() + timeout
    before, quiet = cpu_seconds(pids), 0
    while quiet < _QUIET_LOOKS:
        time.sleep(_LOOK_SECONDS)
        after = cpu_seconds(pids)
        quiet = quiet + 1 if after - before < _IDLE_SECONDS else 0
        if time.monotonic() > deadline:
            raise TimeoutError(f"The server still works {timeout:g} s after the load has ended.")
        before = after
