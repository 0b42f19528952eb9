"""Text messages through Fast2SMS (`bulkV2`, quick route). It serves Indian numbers only."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from kernapay.notifications.base import Rejected, TryLater
from kernapay.notifications.transport import DEADLINE, Transport, decode, describe

_PATH: Final = "/dev/bulkV2"
_INDIAN: Final = re.compile(r"\+91([0-9]{10})")
# Fast2SMS: 416 is an empty wallet, 995 too many messages to one number. Both may end before the message expires.
_TEMPORARY: Final = frozenset({416, 995})


class _Answer(msgspec.Struct, rename={"is_accepted": "return"}):
    is_accepted: bool
    status_code: int = 0
    message: Any = None


class Fast2Sms:
    def __init__(self, key: str, url: str, deadline: float = DEADLINE) -> None:
        endpoint = url if urlsplit(url).path else url + _PATH
        self._transport = Transport(endpoint, {"Authorization": key}, deadline)

    def reaches(self, number: str) -> bool:
        return _INDIAN.fullmatch(number) is not None

    async def send(self, to: str, text: str) -> None:
        indian = _INDIAN.fullmatch(to)
        if indian is None:
            raise Rejected("Fast2SMS serves Indian numbers only")
        response = await self._transport.post(
            {
                "route": "q",
                "message": text,
                "language": "english",
                "flash": 0,
                "numbers": indian[1],
            }
        )
        answer = decode(response, _Answer)
        if answer is None:
            if response.is_client_error:
                raise Rejected(describe(response, "refused without a reason"))
            # The message may have been sent. To send the same code twice does no harm.
            raise TryLater(describe(response, "not the documented answer"))
        if answer.is_accepted and response.is_success:
            return
        cause = f"{answer.status_code} {answer.message or 'refused without a reason'}"
        error = TryLater if answer.status_code in _TEMPORARY else Rejected
        raise error(describe(response, cause))

    async def close(self) -> None:
        await self._transport.close()
