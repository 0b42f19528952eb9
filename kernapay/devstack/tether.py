"""Become a command to which the kernel sends a signal when its parent dies (Linux).

Run as a script between fork and the command: code that runs in the forked child of a process
with threads can deadlock, an executed program cannot.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, number: str, *command: str) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number)) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("The parent died before the tether was tied.")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
