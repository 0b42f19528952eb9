"""Each piece of a long answer has a deadline; a small answer goes to the server whole."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Message

from kernapay.web.slow_readers import ReaderTooSlow, TimedSend

PIECE = 65_536
DEADLINE = 10  # seconds
IN_TIME = DEADLINE - 1
NEVER = 100 * DEADLINE
START: HTTPResponseStartEvent = {"type": "http.response.start", "status": 200, "headers": []}


class Reader:
    """A client that takes the first message in so many seconds, and so on, and any other at once."""

    def __init__(self, *seconds: int) -> None:
        self.send = TimedSend(self._take, DEADLINE)
        self.now = 0.0
        self.messages: list[Any] = []
        self._seconds = [*reversed(seconds)]

    async def _take(self, message: Message) -> None:
        self.messages.append(message)
        for _ in range(self._seconds.pop() if self._seconds else 0):
            self.now += 1
            await asyncio.sleep(0)

    def take(self, *messages: Message) -> None:
        """Take an answer, and raise what ends it."""

        async def send_all() -> None:
            for message in messages:
                await self.send(message)

        with asyncio.Runner(loop_factory=lambda: _LoopOf(self)) as runner:
            runner.run(send_all())


class _LoopOf(asyncio.SelectorEventLoop):
    """An event loop with the reader's clock, so that no test waits and a busy machine makes nobody late."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        super().__init__()

    def time(self) -> float:
        return self._reader.now


def body(content: bytes, *, more: bool = False) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": content, "more_body": more}


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE, 200_000])
@pytest.mark.parametrize("more", [False, True])
def test_a_body_goes_out_in_pieces_that_join_to_it(size: int, more: bool) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    reader = Reader()
    reader.take(START, body(content, more=more))
    assert reader.messages.pop(0) == START
    pieces = [piece["body"] for piece in reader.messages]
    assert b"".join(pieces) == content
    assert len(pieces) == max(1, -(-size // PIECE))
    assert max(map(len, pieces)) <= PIECE
    assert [piece["more_body"] for piece in reader.messages] == [True] * (len(pieces) - 1) + [more]


@pytest.mark.parametrize(
    ("seconds", "messages"),
    [
        ([NEVER], [body(b"x" * 3 * PIECE)]),
        ([IN_TIME, IN_TIME, NEVER], [body(b"x" * 3 * PIECE)]),
        ([NEVER], [body(b"small, but not all", more=True)]),
        ([IN_TIME, NEVER], [body(b"a stream", more=True), body(b"")]),
    ],
    ids=["at the first piece", "at the last piece", "in a stream", "at the end of a stream"],
)
def test_who_takes_a_piece_too_slowly_gets_no_more(
    seconds: Sequence[int], messages: Sequence[Message]
) -> None:
    reader = Reader(*seconds)
    with pytest.raises(ReaderTooSlow):
        reader.take(*messages)
    assert reader.send.is_too_late
    assert len(reader.messages) == len(seconds)
    assert sum(seconds[:-1]) + DEADLINE <= reader.now <= sum(seconds[:-1]) + DEADLINE + 1


def test_the_deadline_is_of_each_piece_and_not_of_the_answer() -> None:
    reader = Reader(*[IN_TIME] * 9)
    reader.take(START, body(b"x" * 4 * PIECE, more=True), body(b"x" * 4 * PIECE))
    assert reader.now == 9 * IN_TIME
    assert not reader.send.is_too_late


@pytest.mark.parametrize("size", [0, PIECE])
def test_a_small_answer_goes_out_whole_and_has_no_deadline(size: int) -> None:
    """The server takes it without waiting for the client."""
    reader = Reader(NEVER, NEVER)
    message = body(b"x" * size)
    reader.take(START, message)
    assert reader.messages == [START, message]
    assert not reader.send.is_too_late
