"""Group commit: writes to one collection that are under way together are one write, journaled once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from pymongo.collection import Collection

from kernapay.storage.batching import Batcher

WriteT = TypeVar("WriteT")
ResultT = TypeVar("ResultT")
Row = dict[str, Any]

# About as long as a journaled write takes. PostgreSQL's commit_delay does the same.
_PAUSE: Final = 0.002  # seconds


class GroupCommit(Generic[WriteT, ResultT]):
    """The writes of one kind to one collection."""

    def __init__(
        self,
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
        collection: Callable[[], Collection[Row]],
        write_all: Callable[
            [Collection[Row], Sequence[Callable[[], WriteT]]], Sequence[ResultT | Exception]
        ],
        kind: str,
    ) -> None:
        """`run` runs a blocking call in the pool, where `collection` and `write_all` are called.

        `write_all` returns the result or the error of each write, and raises what leaves the outcome of all unknown.
        """

        async def send(makers: Sequence[Callable[[], WriteT]]) -> Sequence[ResultT | Exception]:
            results: Sequence[ResultT | Exception] = await run(
                lambda: write_all(collection(), makers)
            )
            return results

        self._batcher: Batcher[Callable[[], WriteT], ResultT] = Batcher(send, kind, pause=_PAUSE)

    async def commit(self, make: Callable[[], WriteT]) -> ResultT:
        """Make the write that `make` returns in the pool.

        Raises DuplicateRow, and Unavailable when it is not known what was written.
        """
        return await self._batcher.request(make)
