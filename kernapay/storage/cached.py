"""The `cached` decorator: it puts a repository's query behind the cache."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from string import Formatter
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, get_type_hints, overload

import msgspec

from kernapay.storage.cache import DEFAULT_ROOM, Cache, Room
from kernapay.storage.cache_metrics import start_counting
from kernapay.storage.redis import Address

T = TypeVar("T")

Entries = Mapping[Address, bytes | None]
"""Values as they are in the cache, None for each that is missing."""
NO_ENTRIES: Final[Entries] = MappingProxyType({})

Template = Callable[[Mapping[str, object]], str]


class _Place:
    """Where the values of a query are cached: a key and a field, which its arguments complete."""

    def __init__(self, key: str, field: str) -> None:
        self.key = _template(key)
        self._field = _template(field)

    def address(self, arguments: Mapping[str, object]) -> Address:
        return Address(self.key(arguments), self._field(arguments))


def _template(text: str) -> Template:
    """Return a function that formats a text, which is quick for `value` and for `user:{user_id}`."""
    (before, name, form, conversion), *rest = Formatter().parse(text)
    if name is None:
        return lambda _: before
    if rest or form or conversion:
        return text.format_map
    return lambda arguments: f"{before}{arguments[name]}"


class CachedQuery(Generic[T]):
    """A repository's query behind its cache. Call it for the value, or `encoded` for the value as JSON bytes."""

    def __init__(
        self,
        owner: "HasCache",
        compute: Callable[..., Awaitable[T]],
        place: _Place,
        ttl: int,
        room: Room,
        decoder: msgspec.json.Decoder[T],
    ) -> None:
        self._owner = owner
        self._compute = compute
        self._place = place
        self._ttl = ttl
        self._room = room
        self.decoder = decoder

    def address(self, **arguments: object) -> Address:
        return self._place.address(arguments)

    async def encoded(self, entries: Entries = NO_ENTRIES, /, **arguments: Any) -> bytes | None:
        """Return the value as JSON bytes, None without a value. A hit returns the stored bytes without decoding.

        `entries` were read from the cache a moment ago.
        """
        address = self._place.address(arguments)
        if (value := entries.get(address)) is not None:
            return value

        async def compute() -> bytes | None:
            value = await self._compute(self._owner, **arguments)
            return None if value is None else msgspec.json.encode(value)

        return await self._owner.cache.fetch(address, self._ttl, compute, self._room)

    async def __call__(self, **arguments: Any) -> T:
        stored = await self.encoded(**arguments)
        return self.decoder.decode(stored) if stored is not None else None  # type: ignore[return-value]

    async def evict(self, **arguments: Any) -> None:
        """Evict the whole entry with all its fields."""
        await self._owner.cache.evict(self._place.key(arguments))

    @asynccontextmanager
    async def changing(self, **arguments: Any) -> AsyncIterator[None]:
        """Evict the entry before and after the block, which writes the data that the entry is made from.

        Before, because the process may die right after the write. After, even if the write raises: it may have been
        applied and only its answer lost. Until a majority of MongoDB has such a write, a reader may still store the
        old value. So a caller that repeats a change and finds it made evicts the entry too.
        """
        await self.evict(**arguments)
        try:
            yield
        finally:
            await self.evict(**arguments)


class HasCache(Protocol):
    cache: Cache


class cached:
    """Put a query behind the cache.

    The return annotation is the type of the stored value. Pass the query's arguments by name.
    """

    prefixes: ClassVar[set[str]] = set()
    """How the keys of all cached queries begin."""

    def __init__(
        self, key: str, *, ttl: timedelta, field: str = "value", room: Room = DEFAULT_ROOM
    ) -> None:
        prefix = key.partition("{")[0]
        self.prefixes.add(prefix)
        start_counting(prefix)
        self._place = _Place(key, field)
        self._ttl = int(ttl.total_seconds())
        self._room = room

    def __call__(self, query: Callable[..., Awaitable[T]]) -> "_CachedMethod[T]":
        return _CachedMethod(query, self._place, self._ttl, self._room)


class _CachedMethod(Generic[T]):
    def __init__(
        self, query: Callable[..., Awaitable[T]], place: _Place, ttl: int, room: Room
    ) -> None:
        self._query = query
        self._place = place
        self._ttl = ttl
        self._room = room
        self.__doc__ = query.__doc__

    def address(self, **arguments: object) -> Address:
        """Return where the value for these arguments is cached, the same for every caller."""
        return self._place.address(arguments)

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "_CachedMethod[T]": ...
    @overload
    def __get__(self, instance: HasCache, owner: type) -> CachedQuery[T]: ...
    def __get__(
        self, instance: HasCache | None, owner: type
    ) -> "_CachedMethod[T] | CachedQuery[T]":
        if instance is None:
            return self
        bound: CachedQuery[T] | None = instance.__dict__.get(self._name)
        if bound is None:
            decoder = msgspec.json.Decoder(get_type_hints(self._query)["return"])
            bound = CachedQuery(instance, self._query, self._place, self._ttl, self._room, decoder)
            # This is a non-data descriptor: from now on the instance's own attribute is used.
            instance.__dict__[self._name] = bound
        return bound
