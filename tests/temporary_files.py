"""Temporary files in memory, where the machine has room: MongoDB and Valkey wait for the disk at every write."""

import os
import shutil
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_ENOUGH_BYTES: Final = 6 << 30
_ROOT: Final = "PYTEST_DEBUG_TEMPROOT"


def use_memory() -> None:
    """Let pytest put its temporary folders there, before it makes the first. An environment that says where wins."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES:
        os.environ.setdefault(_ROOT, str(_MEMORY))
