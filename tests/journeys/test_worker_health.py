"""The health check of compose.yaml, on a real worker."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from kernapay.core.heartbeat import find_silence
from tests.aliases import Store
from tests.stack import Worker, end
from tests.waiting import eventually


def later(seconds: float) -> Callable[[], float]:
    return lambda: time.monotonic() + seconds


def test_a_worker_that_stands_still_is_noticed(
    api_env: dict[str, str], store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "signs"
    worker = Worker(tmp_path / "worker", api_env, "--heartbeat", str(file))
    try:
        worker.start()
        eventually(file.exists)
        assert find_silence(file) == []
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        assert "The worker hangs" in find_silence(file, later(70))[0]
    finally:
        end(worker)
