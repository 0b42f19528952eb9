"""The durable outbox: stored before the request is answered, sent by whoever claims it first."""

import asyncio
import re
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from kernapay.core.clock import Clock, now
from kernapay.core.errors import KernaPayError, RetryLater
from kernapay.core.keys import BrokenSeal, Sealer
from kernapay.notifications.base import DeliveryFailure, EmailSender, Rejected, SmsSender, TryLater
from kernapay.notifications.models import Channel, Message, MessageStatus
from kernapay.notifications.repository import MessageRepository

_log = structlog.get_logger("kernapay.notifications")
MESSAGES: Final = Counter(
    "kernapay_messages_total", "E-mails and texts, by outcome of a sending", ("channel", "outcome")
)
# One slow provider must not hold up the other's messages.
_AT_ONCE: Final = 8
_NUDGES: Final = 2
_SWEEPS_PER_NUDGE: Final = 10
_CLOSING_SECONDS: Final = 5.0
_PERSONAL: Final = re.compile(r"\S*@\S*|\d{4,}")
_HOW: Final = {
    Channel.EMAIL: "set EMAIL_API_KEY and SENDER_EMAIL",
    Channel.SMS: "set FAST_2_SMS_KEY",
}


class NoProvider(RetryLater):
    """Nothing is configured that could deliver this kind of message."""

    code = "delivery_not_configured"
    title = "Delivery is not configured"


class Outbox:
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
        """Say in the log which messages cannot be delivered."""
        for channel in Channel:
            if not self._has(channel):
                _log.warning("delivery_not_configured", channel=channel.value, advice=_HOW[channel])

    async def drain(self) -> None:
        """Let what is being sent end; what does not end in time is repeated when its lease is over."""
        if self._nudges:
            _, late = await asyncio.wait(self._nudges, timeout=_CLOSING_SECONDS)
            for task in late:
                task.cancel()

    async def close(self) -> None:
        await self.drain()
        for sender in (self._email, self._sms):
            if sender is not None:
                await sender.close()

    def demand(self, channel: Channel) -> None:
        """Raise NoProvider unless messages of this channel can be delivered."""
        if not self._has(channel):
            raise NoProvider(f"This service sends no {channel.value} messages.")

    def reaches(self, number: str) -> bool:
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
    ) -> None:
        """Store a message; it is sent until `expires_at`. A discarded one costs the same and goes nowhere."""
        sealed = self._sealer.seal(text)
        await self._messages.add(
            Message(
                user_id=user_id,
                channel=channel,
                kind=kind,
                to=None if discard else to,
                subject=subject,
                sealed_text=None if discard else sealed,
                status=MessageStatus.DISCARDED if discard else MessageStatus.PENDING,
                next_at=self._clock(),
                expires_at=expires_at,
            )
        )

    async def nudge(self) -> None:
        """Start sending what is due in this process; called once the answer is out."""
        if len(self._nudges) < _NUDGES:
            task = asyncio.get_running_loop().create_task(self._sweep_all())
            self._nudges.add(task)
            task.add_done_callback(self._nudges.discard)

    async def sweep(self) -> bool:
        """Send the due messages, a handful side by side; False when none was due."""
        return await self._messages.queue.sweep(self._deliver, _AT_ONCE)

    async def _sweep_all(self) -> None:
        try:
            for _ in range(_SWEEPS_PER_NUDGE):
                if not await self.sweep():
                    return
        except KernaPayError as error:
            _log.warning("nudge_failed", code=error.code)  # the worker has them all the same

    async def _deliver(self, message: Message) -> None:
        try:
            failure: Exception | None = None
            try:
                await self._send(message)
            except Exception as error:
                failure = error
            await self._note(message, failure)
        except KernaPayError as error:
            # The lease runs out: a sent message is then sent again, which beats one that never comes.
            _log.warning("message_note_lost", message_id=str(message.pk), code=error.code)

    async def _send(self, message: Message) -> None:
        if message.expires_at <= self._clock():
            raise Rejected("of no use any more")
        try:
            text = self._sealer.open(message.sealed_text or b"")
        except BrokenSeal as error:
            # While the secret is changed, another process may be able to; nobody waits past its expiry.
            raise TryLater(str(error)) from error
        if message.channel is Channel.EMAIL and self._email is not None:
            await self._email.send(message.to or "", message.subject or "", text)
        elif message.channel is Channel.SMS and self._sms is not None:
            await self._sms.send(message.to or "", text)
        else:
            raise TryLater("no provider is configured here")

    async def _note(self, message: Message, failure: Exception | None) -> None:
        if failure is None:
            await self._messages.finish(message)
            self._report(message, "sent")
            return
        expected = isinstance(failure, DeliveryFailure)
        # Providers quote what they were sent: neither a code nor an address may stay behind.
        said = _PERSONAL.sub("…", str(failure)) if expected else type(failure).__name__
        queue = self._messages.queue
        asked = timedelta(seconds=failure.retry_after if isinstance(failure, TryLater) else 0)
        again = self._clock() + max(queue.pause_after(message.attempts), asked)
        if isinstance(failure, Rejected) or again >= message.expires_at:
            await queue.park(message, f"given up after {message.attempts}: {said}")
            self._report(message, "failed", failure, expected=expected)
        else:
            await queue.fail(message, said, at_least=asked)
            self._report(message, "retried", failure, expected=expected)

    def _report(
        self,
        message: Message,
        outcome: str,
        failure: Exception | None = None,
        *,
        expected: bool = True,
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
            exc_info=None if expected else failure,
        )

    def _has(self, channel: Channel) -> bool:
        return (self._email if channel is Channel.EMAIL else self._sms) is not None
