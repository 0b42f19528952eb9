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


# A worker that works wrote its file less than 5 seconds ago. After a minute without, it hangs.
SOON = later(54.5)


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
        # Longer than between two writes: a worker that goes on has written anew.
        time.sleep(6.5)
        assert "The worker hangs" in " ".join(find_silence(file, SOON))
        os.kill(worker.pid, signal.SIGCONT)
        eventually(lambda: find_silence(file, SOON) == [])
    finally:
        end(worker)
