"""Values of metrics that the workers of one service add up, through a file per process and kind of metric.

prometheus-client maps such files into memory. Where the disk is full, the first write to a page without a block of its
own ends the process by SIGBUS. Here a value lives in memory, and each change is copied into the file by a system call,
which can fail without harm: the next change copies the whole value again.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final

import structlog
from prometheus_client.mmap_dict import mmap_key

_log = structlog.get_logger("kernapay.metrics")
# The format of prometheus_client.mmap_dict, which reads the files: the length used, then entries of a key and two
# doubles, each aligned to eight bytes.
_USED: Final = struct.Struct("i4x")
_LENGTH: Final = struct.Struct("i")
_VALUE: Final = struct.Struct("dd")
_REPORT_SECONDS: Final = 60.0


class _File:
    """The values of one kind of metric of this process. Every call may raise OSError."""

    def __init__(self, folder: Path, kind: str) -> None:
        path = folder / f"{kind}_{os.getpid()}.db"
        # A file of this name is from an earlier process with the same id.
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._used = _USED.size

    def append(self, key: str, value: float) -> int:
        """Append a value and return its place."""
        text = key.encode()
        padding = b" " * (8 - (len(text) + _LENGTH.size) % 8)
        entry = _LENGTH.pack(len(text)) + text + padding + _VALUE.pack(value, 0.0)
        self._write(entry, self._used)
        # Only now: readers must not meet an entry that is incomplete.
        self._write(_USED.pack(self._used + len(entry)), 0)
        self._used += len(entry)
        return self._used - _VALUE.size

    def overwrite(self, place: int, value: float) -> None:
        self._write(_VALUE.pack(value, 0.0), place)

    def _write(self, data: bytes, place: int) -> None:
        if os.pwrite(self._descriptor, data, place) < len(data):
            raise OSError(f"only a part of {len(data)} bytes could be written")

    def close(self) -> None:
        os.close(self._descriptor)


class SharedFiles:
    """The files of this process in a folder. A forked process starts files of its own, from zero."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, _File] = {}
        self._values: list[SharedValue] = []
        self._reported_at = -_REPORT_SECONDS
        self.lock = Lock()
        os.register_at_fork(after_in_child=self._start_anew)

    def register(self, value: "SharedValue") -> None:
        """Add a value to those of this process. Call it, and `copy`, while holding the lock."""
        self._values.append(value)
        self.copy(value)

    def copy(self, value: "SharedValue") -> None:
        """Copy a value into its file. If that fails, say so at most once a minute."""
        try:
            file = self._files.get(value.kind)
            if file is None:
                file = self._files[value.kind] = _File(self.folder, value.kind)
            if value.place is None:
                value.place = file.append(value.key, value.amount)
            else:
                file.overwrite(value.place, value.amount)
        except OSError as error:
            if monotonic() >= self._reported_at + _REPORT_SECONDS:
                self._reported_at = monotonic()
                _log.warning(
                    "metrics_not_written",
                    folder=str(self.folder),
                    error=str(error),
                    fix="let the workers write to this folder, which may be full",
                )

    def _start_anew(self) -> None:
        self.lock = Lock()
        for file in self._files.values():
            file.close()
        self._files.clear()
        for value in self._values:
            value.place, value.amount = None, 0.0


class SharedValue:
    """One number of a metric. It has the methods that the metrics of prometheus-client call."""

    def __init__(self, files: SharedFiles, kind: str, key: str) -> None:
        self._files = files
        self.kind = kind
        self.key = key
        self.amount = 0.0
        self.place: int | None = None
        with files.lock:
            files.register(self)

    def inc(self, amount: float) -> None:
        with self._files.lock:
            self.amount += amount
            self._files.copy(self)

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self._files.lock:
            self.amount = value
            self._files.copy(self)

    def get(self) -> float:
        return self.amount

    def set_exemplar(self, exemplar: object) -> None:
        """Do nothing: exemplars are not shared."""

    def get_exemplar(self) -> None:
        """Return None: exemplars are not shared."""


class SharedValues:
    """The factory that prometheus-client calls for each number of a metric."""

    def __init__(self, folder: Path) -> None:
        self._files = SharedFiles(folder)

    def __call__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        *,
        multiprocess_mode: str = "",
    ) -> SharedValue:
        """`multiprocess_mode` says how the gauges of several processes become one. Only gauges have it."""
        kind = f"{typ}_{multiprocess_mode}" if multiprocess_mode else typ
        key = mmap_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        return SharedValue(self._files, kind, key)
