"""E-mail through SendGrid's Web API v3."""

from base64 import b64encode
from http import HTTPStatus
from typing import Any, Final

import msgspec

from kernapay.notifications.base import Attachment, Rejected, TryLater
from kernapay.notifications.transport import DEADLINE, Transport, decode, describe

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

    async def send(
        self, to: str, subject: str, text: str, attachment: Attachment | None = None
    ) -> None:
        response = await self._transport.post(
            {
                "personalizations": [{"to": [{"email": to}]}],
                "from": self._sender,
                "subject": subject,
                "content": [{"type": "text/plain", "value": text}],
                # No tracking pixel and no rewritten links: these messages carry codes.
                "tracking_settings": {
                    "click_tracking": {"enable": False},
                    "open_tracking": {"enable": False},
                },
                **_attachments(attachment),
            }
        )
        if response.status_code == HTTPStatus.ACCEPTED:
            return
        answer = decode(response, _Errors)
        cause = "; ".join(e.message for e in answer.errors if e.message) if answer else ""
        if response.is_client_error:
            raise Rejected(describe(response, cause or "refused without a reason"))
        raise TryLater(describe(response, "not the documented answer"))

    async def close(self) -> None:
        await self._transport.close()


def _attachments(attachment: Attachment | None) -> dict[str, Any]:
    if attachment is None:
        return {}
    file = {
        "content": b64encode(attachment.content).decode(),
        "type": attachment.media_type,
        "filename": attachment.name,
        "disposition": "attachment",
    }
    return {"attachments": [file]}
