"""The sandbox's own time, which can be frozen and moved."""

import time
from collections.abc import Callable

from kernapay.sandbox.entities import ClockState
from kernapay.sandbox.store import Store


class Clock:
    """All moments are Unix seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    @property
    def state(self) -> ClockState:
        return self._store.clock.get("clock") or ClockState()

    @property
    def frozen(self) -> bool:
        return self.state.frozen_at is not None

    def now(self) -> float:
        state = self.state
        return time.time() + state.offset if state.frozen_at is None else state.frozen_at

    def timestamp(self) -> int:
        """Return the current moment in whole seconds, as Razorpay writes it."""
        return int(self.now())

    def freeze(self) -> None:
        self._save(self.now(), frozen=True)

    def resume(self) -> None:
        self._save(self.now(), frozen=False)

    def set(self, moment: float) -> None:
        self._save(moment, self.frozen)

    def reset(self) -> None:
        self._save(time.time(), frozen=False)

    def _save(self, moment: float, frozen: bool) -> None:
        self._store.clock.remove("clock")
        self._store.clock.add(
            ClockState(
                offset=moment - time.time(),
                frozen_at=moment if frozen else None,
            )
        )
        for listener in self._listeners:
            listener()
