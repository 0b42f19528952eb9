"""HTTP to a provider, with a deadline for the whole call."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx
import msgspec

from kernapay.core.patterns import DECODE_ERRORS
from kernapay.notifications.base import TryLater

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)

DEADLINE: Final = 10.0
"""Seconds until a provider must have answered completely."""
_MAX_DESCRIPTION: Final = 200


class Transport:
    """A pool of connections to one provider."""

    def __init__(self, url: str, headers: Mapping[str, str], deadline: float = DEADLINE) -> None:
        self._url = url
        self._deadline = deadline
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=deadline,
            limits=httpx.Limits(max_connections=16),
            verify=_trusted_authorities(),
        )

    async def post(self, body: Any) -> httpx.Response:
        """Send the body as JSON and return the response. The caller judges what its status means.

        Raises TryLater if there is no answer, or one with status 429 or 5xx.
        """
        try:
            # httpx limits each read only: an answer that comes byte by byte would never end.
            async with asyncio.timeout(self._deadline):
                response = await self._client.post(self._url, json=body)
        except (httpx.RequestError, TimeoutError) as error:
            raise TryLater(f"no answer: {type(error).__name__}") from error
        status = response.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TryLater(f"HTTP {status}", retry_after=_retry_after(response))
        return response

    async def close(self) -> None:
        await self._client.aclose()


@cache
def _trusted_authorities() -> ssl.SSLContext:
    # Reading their certificates takes longer than all else that a transport needs.
    return httpx.create_ssl_context()


def decode(response: httpx.Response, type_: type[AnswerT]) -> AnswerT | None:
    """Return the decoded body, or None if it does not have the form that the provider documents."""
    try:
        return msgspec.json.decode(response.content, type=type_)
    except DECODE_ERRORS:
        return None


def describe(response: httpx.Response, cause: str) -> str:
    """Return the status and the cause of a failure, shortened."""
    description = f"HTTP {response.status_code}: {cause}"
    if len(description) > _MAX_DESCRIPTION:
        # Cut between words: the outbox would not recognise and mask half an address.
        description = description[:_MAX_DESCRIPTION].rpartition(" ")[0]
    return description


def _retry_after(response: httpx.Response) -> int:
    value = response.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 6 else 0
