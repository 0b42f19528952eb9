"""The outbox: a message is stored before the request is answered, and sent by the process that claims it first."""

import asyncio
import re
from base64 import b64decode, b64encode
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError, RetryLater
from kernapay.core.keys import BrokenSeal, Sealer
from kernapay.core.metrics import Counter, start_at_zero
from kernapay.notifications.base import (
    Attachment,
    DeliveryFailure,
    EmailSender,
    Rejected,
    SmsSender,
    TryLater,
)
from kernapay.notifications.models import Channel, Message, MessageStatus
from kernapay.notifications.repository import MessageRepository
from kernapay.storage.repository import DuplicateRow

_log = structlog.get_logger("kernapay.notifications")
MESSAGES: Final = Counter(
    "kernapay_messages_total",
    "E-mails and text messages, by the outcome of an attempt to send them",
    ("channel", "outcome"),
)
start_at_zero(MESSAGES, [channel.value for channel in Channel], ["sent", "retried", "failed"])
_CONCURRENCY: Final = 8
# While one nudge waits for a provider that does not answer, the other one sends the rest.
_MAX_NUDGES: Final = 2
# What ten sweeps do not send is left to the worker.
_SWEEPS_PER_NUDGE: Final = 10
_DRAIN_SECONDS: Final = 5.0
_PERSONAL: Final = re.compile(r"\S*@\S*|\d{4,}")
_ADVICE: Final = {
    Channel.EMAIL: "set EMAIL_API_KEY and SENDER_EMAIL",
    Channel.SMS: "set FAST_2_SMS_KEY",
}
_NAMES: Final = {Channel.EMAIL: "e-mail", Channel.SMS: "text messages"}


class NoProvider(RetryLater):
    """No provider is configured that could deliver this kind of message."""

    code = "delivery_not_configured"
    title = "Delivery is not configured"


class Outbox:
    """Store messages and send them through the configured providers."""

    def __init__(
        self,
        messages: MessageRepository,
        sealer: Sealer,
        email: EmailSender | None,
        sms: SmsSender | None,
        clock: Clock = now,
    ) -> None:
        self._messages = messages
        self._sealer = sealer
        self._email = email
        self._sms = sms
        self._clock = clock
        self._nudges: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Warn in the log about channels without a provider."""
        for channel in Channel:
            if not self.has_provider(channel):
                _log.warning("delivery_not_configured", channel=channel.value, fix=_ADVICE[channel])

    async def drain(self) -> None:
        """Wait up to five seconds for the messages that are being sent.

        A message that takes longer is sent again when its lease ends.
        """
        if self._nudges:
            _, pending = await asyncio.wait(self._nudges, timeout=_DRAIN_SECONDS)
            for task in pending:
                task.cancel()

    async def close(self) -> None:
        await self.drain()
        for sender in (self._email, self._sms):
            if sender is not None:
                await sender.close()

    def has_provider(self, channel: Channel) -> bool:
        return (self._email if channel is Channel.EMAIL else self._sms) is not None

    def require(self, channel: Channel) -> None:
        """Raise NoProvider unless the channel has a provider."""
        if not self.has_provider(channel):
            raise NoProvider(
                f"No provider for {_NAMES[channel]} is configured. The operator has to {_ADVICE[channel]}."
            )

    def reaches(self, number: str) -> bool:
        """Return whether text messages can be sent to this number, which has the form `+919876543210`."""
        return self._sms is not None and self._sms.reaches(number)

    async def post(
        self,
        channel: Channel,
        kind: str,
        to: str,
        text: str,
        *,
        expires_at: datetime,
        subject: str | None = None,
        user_id: str | None = None,
        discard: bool = False,
        attachment: Attachment | None = None,
        message_id: ObjectId | None = None,
    ) -> None:
        """Store a message, to be sent before `expires_at`. With a `message_id`, it is stored once.

        With `discard` it is never sent and has neither address nor text, but costs the same work.
        """
        sealed_text = self._sealer.seal(text)
        with suppress(DuplicateRow) if message_id is not None else nullcontext():
            await self._messages.add(
                Message(
                    id=message_id,
                    user_id=user_id,
                    channel=channel,
                    kind=kind,
                    to=None if discard else to,
                    subject=subject,
                    sealed_text=None if discard else sealed_text,
                    status=MessageStatus.DISCARDED if discard else MessageStatus.PENDING,
                    next_at=self._clock(),
                    expires_at=expires_at,
                    **self._seal(attachment),
                )
            )

    async def nudge(self) -> None:
        """Start sending the due messages in this process, without waiting for it."""
        if len(self._nudges) < _MAX_NUDGES:
            task = asyncio.get_running_loop().create_task(self._sweep_all())
            self._nudges.add(task)
            task.add_done_callback(self._nudges.discard)

    async def sweep(self) -> bool:
        """Send up to eight due messages at the same time. Return False if none was due."""
        return await self._messages.queue.sweep(self._deliver, _CONCURRENCY)

    async def _sweep_all(self) -> None:
        try:
            for _ in range(_SWEEPS_PER_NUDGE):
                if not await self.sweep():
                    return
        except KernaPayError as error:
            _log.warning("nudge_failed", code=error.code)  # the worker sends them

    async def _deliver(self, message: Message) -> None:
        try:
            failure: Exception | None = None
            try:
                await self._send(message)
            except Exception as error:
                failure = error
            await self._record(message, failure)
        except KernaPayError as error:
            # When the lease ends, the message is sent again, even if it was sent. Better twice than never.
            _log.warning("message_note_lost", message_id=str(message.pk), code=error.code)

    async def _send(self, message: Message) -> None:
        if message.expires_at <= self._clock():
            raise Rejected("expired before it could be sent")
        try:
            text = self._sealer.open(message.sealed_text or b"")
            attachment = self._open(message)
        except BrokenSeal as error:
            # During a rotation of JWT_SECRET, another process may have the right secret.
            raise TryLater(str(error)) from error
        if message.channel is Channel.EMAIL and self._email is not None:
            await self._email.send(message.to or "", message.subject or "", text, attachment)
        elif message.channel is Channel.SMS and self._sms is not None:
            await self._sms.send(message.to or "", text)
        else:
            raise TryLater("no provider is configured in this process")

    def _seal(self, attachment: Attachment | None) -> dict[str, Any]:
        """Return the fields of a message for a file, which is encrypted because it says who paid what."""
        if attachment is None:
            return {}
        sealed = self._sealer.seal(b64encode(attachment.content).decode())
        return {
            "sealed_file": sealed,
            "file_name": attachment.name,
            "file_type": attachment.media_type,
        }

    def _open(self, message: Message) -> Attachment | None:
        """Return the file of a message. Raises BrokenSeal."""
        if message.sealed_file is None:
            return None
        content = b64decode(self._sealer.open(message.sealed_file))
        return Attachment(str(message.file_name), str(message.file_type), content)

    async def _record(self, message: Message, failure: Exception | None) -> None:
        if failure is None:
            await self._messages.finish(message)
            self._report(message, "sent")
            return
        is_expected = isinstance(failure, DeliveryFailure)
        # Providers quote what they were sent. Codes, numbers and addresses must not be stored.
        reason = _PERSONAL.sub("…", str(failure)) if is_expected else type(failure).__name__
        queue = self._messages.queue
        retry_after = timedelta(seconds=failure.retry_after if isinstance(failure, TryLater) else 0)
        next_at = self._clock() + max(queue.pause_after(message.attempts), retry_after)
        if isinstance(failure, Rejected) or next_at >= message.expires_at:
            await queue.park(message, f"given up after attempt {message.attempts}: {reason}")
            self._report(message, "failed", failure, is_expected=is_expected)
        else:
            await queue.fail(message, reason, at_least=retry_after)
            self._report(message, "retried", failure, is_expected=is_expected)

    def _report(
        self,
        message: Message,
        outcome: str,
        failure: Exception | None = None,
        *,
        is_expected: bool = True,
    ) -> None:
        MESSAGES.labels(message.channel.value, outcome).inc()
        if failure is None:
            return
        _log.warning(
            "message_not_sent",
            message_id=str(message.pk),
            channel=message.channel.value,
            kind=message.kind,
            outcome=outcome,
            attempts=message.attempts,
            failure=type(failure).__name__,
            exc_info=None if is_expected else failure,
        )
