"""Limit how many codes are sent: per client, per destination and in total."""

from typing import Final

import structlog

from kernapay.core.errors import TooManyRequests
from kernapay.notifications.models import Channel
from kernapay.security.rate_limits import RateLimiter

_log = structlog.get_logger("kernapay.verification")
_EXCESS: Final = "Too many codes were requested."


class CodeBudget:
    """Count the codes that are sent. Each method raises TooManyRequests if a limit is reached."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def spend(self, channel: Channel, destination: str, client: str) -> None:
        """Count a code that the client requests and that is sent to the destination."""
        await self.spend_client(client)
        await self._limiter.require("codes_to", f"{channel.value} {destination}", _EXCESS)
        await self.spend_total(channel)

    async def spend_client(self, client: str) -> None:
        """Count a code that the client requests."""
        await self._limiter.require("codes_from", client, _EXCESS)

    async def spend_total(self, channel: Channel, *, discard: bool = False) -> None:
        """Count a code in the total of its channel.

        With `discard`, it is not sent, and has a total of its own: the same work, at no cost to the sent ones.
        """
        subject = f"{channel.value} discarded" if discard else channel.value
        try:
            await self._limiter.require("codes_in_all", subject, _EXCESS)
        except TooManyRequests:
            if not discard:
                _log.warning(
                    "codes_refused",
                    channel=channel.value,
                    limit="RATE_LIMIT_CODES_IN_ALL",
                    fix="find who requests so many codes; if they are customers, raise the limit",
                )
            raise
