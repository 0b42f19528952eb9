"""Text messages through Fast2SMS: bulkV2, the quick route, Indian numbers only."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from kernapay.notifications.base import Rejected, TryLater
from kernapay.notifications.transport import DEADLINE, Transport, read, reason

_PATH: Final = "/dev/bulkV2"
_INDIAN: Final = re.compile(r"\+91([0-9]{10})")
# The wallet is empty; the number got too many texts. Both pass, perhaps while the message is still of use.
_PASSING: Final = frozenset({416, 995})


class _Answer(msgspec.Struct, rename={"taken": "return"}):
    taken: bool
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
        answer = await self._transport.post(
            {
                "route": "q",
                "message": text,
                "language": "english",
                "flash": 0,
                "numbers": indian[1],
            }
        )
        told = read(answer, _Answer)
        if told is None:
            # Without their word the message may be on its way; the same code twice does no harm.
            if answer.is_client_error:
                raise Rejected(reason(answer, "refused without a reason"))
            raise TryLater(reason(answer, "not the documented answer"))
        if told.taken and answer.is_success:
            return
        said = reason(answer, f"{told.status_code} {told.message or 'refused without a reason'}")
        raise TryLater(said) if told.status_code in _PASSING else Rejected(said)

    async def close(self) -> None:
        await self._transport.close()
