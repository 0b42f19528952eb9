"""HTTP to a provider: one deadline for the whole call, and failures by what they mean."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx
import msgspec

from kernapay.core.patterns import DECODE_ERRORS
from kernapay.notifications.base import TryLater

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)

DEADLINE: Final = 10.0
"""Seconds a provider has for its whole answer."""
_LONGEST_REASON: Final = 200


class Transport:
    """A pool of connections to one provider; its answers below 500, except 429, are the caller's to judge."""

    def __init__(self, url: str, headers: Mapping[str, str], deadline: float = DEADLINE) -> None:
        self._url = url
        self._deadline = deadline
        self._client = httpx.AsyncClient(
            headers=headers, timeout=deadline, limits=httpx.Limits(max_connections=16)
        )

    async def post(self, body: Any) -> httpx.Response:
        """Raises TryLater when the provider cannot be reached, is overloaded or broken."""
        try:
            # The client's own limit is per read: an answer that trickles would never end.
            async with asyncio.timeout(self._deadline):
                answer = await self._client.post(self._url, json=body)
        except (httpx.RequestError, TimeoutError) as error:
            raise TryLater(f"no answer: {type(error).__name__}") from error
        status = answer.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TryLater(f"HTTP {status}", retry_after=_seconds(answer))
        return answer

    async def close(self) -> None:
        await self._client.aclose()


def read(answer: httpx.Response, shape: type[AnswerT]) -> AnswerT | None:
    """Decode the answer; None when it is not what the provider documents."""
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except DECODE_ERRORS:
        return None


def reason(answer: httpx.Response, text: str) -> str:
    said = f"HTTP {answer.status_code}: {text}"
    if len(said) > _LONGEST_REASON:
        # Not within a word: half an address could not be told for one.
        said = said[:_LONGEST_REASON].rpartition(" ")[0]
    return said


def _seconds(answer: httpx.Response) -> int:
    value = answer.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 6 else 0
