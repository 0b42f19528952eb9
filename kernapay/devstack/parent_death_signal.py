"""Run a command that gets a signal from the kernel when its parent dies (Linux: prctl, PR_SET_PDEATHSIG).

Run this file as a script between the fork and the command. Python code that runs in the forked child of a process with
threads can deadlock; a new program cannot.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, number: str, *command: str) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number)) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the call above: then the kernel sends no signal.
    if os.getppid() != int(parent):
        sys.exit("The parent ended before the signal was set.")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
