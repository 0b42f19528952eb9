"""Send every message to the sandbox's mailbox, for development."""

from kernapay.notifications.base import Attachment, TryLater
from kernapay.notifications.transport import Transport, describe

_PATH = "/_sandbox/mailbox"


class _Mailbox:
    def __init__(self, url: str) -> None:
        self._transport = Transport(url + _PATH, {})

    async def _put(self, **message: str) -> None:
        response = await self._transport.post(message)
        if not response.is_success:
            raise TryLater(describe(response, "the mailbox refused"))

    async def close(self) -> None:
        await self._transport.close()


class MailboxEmail(_Mailbox):
    async def send(
        self, to: str, subject: str, text: str, attachment: Attachment | None = None
    ) -> None:
        if attachment is not None:
            # The mailbox keeps texts only.
            text += f"\nAttached: {attachment.name} ({len(attachment.content)} bytes)\n"
        await self._put(channel="email", to=to, subject=subject, text=text)


class MailboxSms(_Mailbox):
    def reaches(self, _: str) -> bool:
        return True

    async def send(self, to: str, text: str) -> None:
        await self._put(channel="sms", to=to, text=text)
