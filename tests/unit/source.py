"""Something slow to compute, that a test can watch and hold up."""

import asyncio

from kernapay.storage.redis import Address


class Source:
    """A stored number; reading it can be halted between the reading and the answer."""

    def __init__(self, value: int = 1) -> None:
        self.value = value
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        return b"%d" % self.value


class SlowRead:
    """One read that has seen its value but does not answer before `finish`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._go = asyncio.Event()
        self.has_read = asyncio.Event()

    async def __call__(self) -> bytes:
        value = await self._source.read()
        self.has_read.set()
        await self._go.wait()
        return value

    def finish(self) -> None:
        self._go.set()


ADDRESS = Address("thing:1", "value")
