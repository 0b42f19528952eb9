"""Granian as KernaPay runs it: one worker that keeps dying takes no other with it."""

from time import monotonic
from typing import Any, Final

import structlog
from granian.server.mp import MPServer

from kernapay.core import metrics
from kernapay.web.slow_readers import NotTooSlow

_log = structlog.get_logger("kernapay.serve")
# A worker that lived so long had started and served.
_HEALTHY_SECONDS: Final = 10.0
_SHORTEST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_EARLY_DEATHS: Final = 4

# Granian's records go to the handler of the root logger, which writes JSON.
LOG_CONFIG: Final[dict[str, Any]] = {
    "formatters": {},
    "handlers": {},
    "filters": {"not_too_slow": {"()": NotTooSlow}},
    "loggers": {
        name: {"level": "WARNING", "handlers": [], "filters": ["not_too_slow"], "propagate": True}
        for name in ("_granian", "_granian.utils", "granian.access")
    },
}


class ApiServer(MPServer):
    """Start a worker anew whenever one dies, with a growing pause if it dies early.

    Granian itself ends all workers when one dies twice within seconds. Here the service ends, with exit code 1, only
    when every worker has died early several times in a row: then none serves.
    """

    def __init__(
        self,
        target: str,
        *,
        shortest_pause: float = _SHORTEST_PAUSE,
        healthy_seconds: float = _HEALTHY_SECONDS,
        **options: Any,
    ) -> None:
        super().__init__(target, **options, respawn_failed_workers=True, log_dictconfig=LOG_CONFIG)
        self._shortest_pause = shortest_pause
        self._healthy_seconds = healthy_seconds
        self._early_deaths = [0] * self.workers

    def _respawn_workers(
        self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        self._forget_early_deaths()
        pause = max((self._note_death(number) for number in workers), default=0.0)
        if min(self._early_deaths) >= _EARLY_DEATHS:
            _log.critical("no_worker_stays_alive", deaths=self._early_deaths)
            self.interrupt_children.extend(workers)  # the exit code is then 1
            self.interrupt_signal = True
        elif pause:
            # Ends early when a signal comes, or when another worker dies.
            self.main_loop_interrupt.wait(pause)
        if self.interrupt_signal:
            self.main_loop_interrupt.set()
            return
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        # By these times Granian decides to end everything.
        self.respawned_wrks.clear()

    def _forget_early_deaths(self) -> None:
        """Reset the count of each worker that has lived long enough since its last start."""
        # Its age counts, not whether it is alive: it may have died a moment ago, and that death is handled next.
        for number, worker in enumerate(self.wrks):
            if monotonic() - worker.birth >= self._healthy_seconds:
                self._early_deaths[number] = 0

    def _note_death(self, number: int) -> float:
        """Log the death of a worker. Return the seconds to wait before its next start."""
        worker = self.wrks[number]
        if worker.inner.is_alive():
            return 0.0  # replaced on request
        metrics.forget_process(worker.inner.pid)
        lived = monotonic() - worker.birth
        if lived < self._healthy_seconds:
            self._early_deaths[number] += 1
        # The first start after a death follows at once.
        deaths = self._early_deaths[number]
        growing = self._shortest_pause * 2.0 ** (deaths - 2)
        pause = min(growing, _LONGEST_PAUSE) if deaths > 1 else 0.0
        _log.error(
            "worker_died",
            worker=number + 1,
            pid=worker.inner.pid,
            exit_code=worker.inner.exitcode,
            lived_seconds=round(lived, 1),
            restarted_after_seconds=pause,
        )
        return pause
