"""E-mail through SendGrid's Web API v3."""

from http import HTTPStatus
from typing import Final

import msgspec

from kernapay.notifications.base import Rejected, TryLater
from kernapay.notifications.transport import DEADLINE, Transport, read, reason

_PATH: Final = "/v3/mail/send"


class _Error(msgspec.Struct):
    message: str | None = None


class _Errors(msgspec.Struct):
    errors: list[_Error] = []


class SendGrid:
    def __init__(
        self, key: str, sender: str, name: str, url: str, deadline: float = DEADLINE
    ) -> None:
        self._transport = Transport(url + _PATH, {"Authorization": f"Bearer {key}"}, deadline)
        self._sender = {"email": sender, "name": name}

    async def send(self, to: str, subject: str, text: str) -> None:
        answer = await self._transport.post(
            {
                "personalizations": [{"to": [{"email": to}]}],
                "from": self._sender,
                "subject": subject,
                "content": [{"type": "text/plain", "value": text}],
                # A code in a message is no advertisement: no pixel, no rewritten links.
                "tracking_settings": {
                    "click_tracking": {"enable": False},
                    "open_tracking": {"enable": False},
                },
            }
        )
        if answer.status_code == HTTPStatus.ACCEPTED:
            return
        told = read(answer, _Errors)
        said = "; ".join(e.message for e in told.errors if e.message) if told else ""
        if answer.is_client_error:
            raise Rejected(reason(answer, said or "refused without a reason"))
        raise TryLater(reason(answer, "not the documented answer"))

    async def close(self) -> None:
        await self._transport.close()
