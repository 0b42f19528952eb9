"""The sandbox's own time: it can stand still, jump, and go on from there."""

import time
from collections.abc import Callable

from kernapay.sandbox.books import Books
from kernapay.sandbox.entities import ClockState


class Clock:
    def __init__(self, books: Books) -> None:
        self._books = books
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    @property
    def state(self) -> ClockState:
        return self._books.clock.get("clock") or ClockState()

    @property
    def frozen(self) -> bool:
        return self.state.frozen_at is not None

    def now(self) -> float:
        """Return Unix seconds."""
        state = self.state
        return time.time() + state.offset if state.frozen_at is None else state.frozen_at

    def stamp(self) -> int:
        return int(self.now())

    def freeze(self) -> None:
        self._store(self.now(), frozen=True)

    def resume(self) -> None:
        self._store(self.now(), frozen=False)

    def set(self, moment: float) -> None:
        self._store(moment, self.frozen)

    def advance(self, seconds: float) -> None:
        self.set(self.now() + seconds)

    def reset(self) -> None:
        self._store(time.time(), frozen=False)

    def _store(self, moment: float, frozen: bool) -> None:
        self._books.clock.remove("clock")
        self._books.clock.add(
            ClockState(
                offset=moment - time.time(),
                frozen_at=moment if frozen else None,
            )
        )
        for listener in self._listeners:
            listener()
