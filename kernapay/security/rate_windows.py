"""The windows in which actions are counted: in Redis for all processes, or in the memory of this one."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.storage.redis.bridge import RedisBridge

from kernapay.storage.redis import RedisStore

# `limits` has one script that counts and one that reads the window. This runs both for every window of a limit, in one
# round trip, and none after a refusal: what a minute refuses must not use up the day.
_TAKE: Final = f"""
local function take(KEYS, ARGV)
{RedisBridge.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode()}
end
local function window(KEYS, ARGV)
{RedisBridge.SCRIPT_SLIDING_WINDOW.decode()}
end
local states = {{}}
for i = 1, #KEYS, 2 do
  local keys, amount, expiry = {{KEYS[i], KEYS[i + 1]}}, ARGV[i], ARGV[i + 1]
  local admitted = take(keys, {{amount, expiry, 1}})
  local counts = window(keys, {{expiry}})
  states[#states + 1] = {{admitted and 1 or 0, counts[1], counts[2], counts[3], counts[4]}}
  if not admitted then break end
end
return states
"""


class Window(NamedTuple):
    """The counts of the previous and the current window, and in how many seconds each of them expires."""

    previous: int
    previous_ttl: float
    current: int
    current_ttl: float


class CountedWindow(NamedTuple):
    """A window of a subject: the key of its counts, the rate that it admits, and its length in seconds."""

    key: str
    item: RateLimitItem
    seconds: int


class Subject(NamedTuple):
    """The windows that count a subject's actions, and what the script is given for them."""

    windows: tuple[CountedWindow, ...]
    keys: tuple[str, ...]
    args: tuple[int, ...]

    @classmethod
    def of(cls, place: str, items: Sequence[RateLimitItem]) -> "Subject":
        """Return the windows of these rates, whose keys begin with `place`."""
        windows = tuple(
            CountedWindow(f"{place}/{item.amount}/{item.get_expiry()}", item, item.get_expiry())
            for item in items
        )
        return cls(
            windows,
            keys=tuple(key for window in windows for key in _window_keys(window.key)),
            args=tuple(arg for window in windows for arg in (window.item.amount, window.seconds)),
        )


class SharedWindows:
    """Windows in Redis, with the scripts of `limits` but through our own client."""

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis
        self._take = redis.script(_TAKE)
        self._look = redis.script(RedisBridge.SCRIPT_SLIDING_WINDOW.decode())

    async def take(self, subject: Subject) -> list[tuple[bool, Window]]:
        """Count one action in each window up to the first that does not admit it.

        Return whether each of them does, and its counts.
        """
        states = await self._take(keys=subject.keys, args=subject.args)
        return [(bool(admitted), _window(counts)) for admitted, *counts in states]

    async def look(self, window: CountedWindow) -> Window:
        return _window(await self._look(keys=_window_keys(window.key), args=[window.seconds]))

    async def clear(self, key: str) -> None:
        await self._redis.delete_all(_window_keys(key))


def _window_keys(key: str) -> tuple[str, str]:
    """Return the keys of the previous and the current window."""
    return f"{key}/-1", key


def _window(counts: Sequence[Any]) -> Window:
    previous, previous_ms, current, current_ms = counts
    return Window(
        int(previous or 0),
        max(0, int(previous_ms or 0)) / 1000,
        int(current or 0),
        max(0, int(current_ms or 0)) / 1000,
    )


class LocalWindows(MemoryStorage):
    """Windows in the memory of this process."""

    async def take(self, subject: Subject) -> list[tuple[bool, Window]]:
        """Do as in Redis."""
        taken = []
        for window in subject.windows:
            key, item, seconds = window
            admitted = await self.acquire_sliding_window_entry(key, item.amount, seconds)
            taken.append((admitted, await self.look(window)))
            if not admitted:
                break
        return taken

    async def look(self, window: CountedWindow) -> Window:
        return Window(*await self.get_sliding_window(window.key, window.seconds))
