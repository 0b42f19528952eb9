import asyncio
from base64 import b64decode, b64encode
from datetime import timedelta

import httpx
import pytest
from bson import ObjectId

from kernapay.commands.doctor.findings import Level
from kernapay.commands.doctor.stores import mongodb
from kernapay.core.clock import now
from kernapay.core.keys import Sealer
from kernapay.health.gauges import queue_depths
from kernapay.notifications.base import Attachment
from kernapay.notifications.fast2sms import Fast2Sms
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.notifications.repository import MessageRepository
from kernapay.notifications.sendgrid import SendGrid
from kernapay.notifications.transport import DEADLINE
from tests.actors import VERIFICATION
from tests.factories import unique
from tests.plain_http import NO_AUTHORITIES
from tests.verification.conftest import OpenWorld, Person, World
from tests.verification.provider import (
    FAST2SMS_KEY,
    HANG_UP,
    SENDGRID_KEY,
    SILENCE,
    Answer,
    Received,
    fast2sms_error,
    json_answer,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


def another_process(world: World, secret: str | None = None, deadline: float = 5) -> Outbox:
    """Return the outbox of a worker beside the API."""
    settings = world.services.settings
    return Outbox(
        MessageRepository(world.services.mongo, world.clock),
        Sealer([secret] if secret else settings.jwt_secrets, "outbox"),
        SendGrid(SENDGRID_KEY, "pay@example.com", "Shop", world.mail.url, deadline),
        Fast2Sms(FAST2SMS_KEY, world.texts.url, deadline),
        world.clock,
    )


async def ask(person: Person, channel: str = "email") -> None:
    answer = await person.post(f"{VERIFICATION}/{channel}/request")
    assert answer.status_code == 202, answer.text


async def test_a_sent_message_leaves_neither_text_nor_address_behind(world: World) -> None:
    asha = await world.person()
    code = await asha.request("email")
    row = await world.settled(asha, "sent")
    assert "sealedText" not in row
    assert "to" not in row
    assert asha.email not in repr(row)
    assert code not in repr(row)
    assert row["sentAt"] >= row["createdAt"]
    assert (row["channel"], row["kind"], row["attempts"]) == ("email", "confirm_email", 1)


async def test_a_waiting_message_is_sealed(world: World) -> None:
    world.mail.always = Answer(503)
    asha = await world.person()
    await ask(asha)
    await world.services.outbox.drain()
    row = await world.message(asha)
    sent = world.messages("email")[0]
    assert sent[:6] not in repr(row)
    assert sent[:6] not in row["sealedText"].decode()


async def test_a_file_waits_sealed_goes_once_and_leaves_nothing_behind(world: World) -> None:
    asha = await world.person()
    outbox, message_id = world.services.outbox, ObjectId()
    for _ in range(2):  # whoever repeats it after a crash has the same id
        await outbox.post(
            Channel.EMAIL,
            "receipt",
            asha.email,
            "Thank you.",
            subject="Your receipt",
            expires_at=world.clock() + timedelta(hours=1),
            user_id=asha.id,
            attachment=Attachment("KP-R26-000001.pdf", "application/pdf", b"%PDF-1.4 private"),
            message_id=message_id,
        )
    waiting = await world.message(asha)
    assert waiting["_id"] == message_id
    assert b64encode(b"%PDF-1.4 private") not in b64decode(waiting["sealedFile"], altchars=b"-_")
    assert await outbox.sweep()
    (mail,) = world.mail.received
    (file,) = mail.body["attachments"]
    assert (file["filename"], file["type"]) == ("KP-R26-000001.pdf", "application/pdf")
    assert b64decode(file["content"]) == b"%PDF-1.4 private"
    assert "sealedFile" not in await world.settled(asha, "sent")


async def test_an_outage_delays_a_message_and_fails_no_request(world: World) -> None:
    world.mail.always = Answer(503, b"<html>")
    asha = await world.person()
    await ask(asha)
    await world.services.outbox.drain()
    for attempts, wait in enumerate((3, 10, 30), start=2):
        world.clock.advance(seconds=wait)
        await world.services.outbox.sweep()
        assert len(world.mail.received) == attempts
        assert not await world.services.outbox.sweep()  # not before the next wait is over
    row = await world.message(asha)
    assert (row["status"], row["error"]) == ("pending", "HTTP 503")
    world.mail.always = None
    world.clock.advance(seconds=90)
    await world.services.outbox.sweep()
    row = await world.settled(asha, "sent")
    assert row["attempts"] == 5
    code = await world.code("email", len(world.messages("email")) - 1)
    assert (await asha.confirm("email", code)).status_code == 200


@pytest.mark.parametrize("trouble", [SILENCE, HANG_UP, Answer(500)])
async def test_a_request_does_not_wait_for_the_provider(world: World, trouble: Answer) -> None:
    world.texts.always = trouble
    asha = await world.person()
    # A request that waited for silence would take all of the provider's deadline.
    async with asyncio.timeout(DEADLINE / 2):
        await ask(asha, "mobile")
        await ask(asha, "email")
    if trouble is not SILENCE:
        return
    # The one that hangs holds up nothing else: a second process or nudge delivers the mail.
    assert await world.code("email", 0)
    world.texts.hang_up()


async def test_a_refused_message_is_given_up_with_the_reason(world: World) -> None:
    world.texts.next.append(fast2sms_error(411, "Invalid Numbers: 9876543210"))
    asha = await world.person()
    await ask(asha, "mobile")
    row = await world.settled(asha, "failed")
    assert row["error"] == "given up after attempt 1: HTTP 400: 411 Invalid Numbers: …"
    assert "sealedText" not in row
    assert "to" not in row
    world.clock.advance(hours=1)
    assert not await world.services.outbox.sweep()


async def test_what_was_given_up_is_counted_by_the_metric_and_by_the_doctor(world: World) -> None:
    asha, ravi = await world.person(), await world.person()
    await asha.request("email")
    await world.settled(asha, "sent")
    queue = world.services.message_repository.queue
    assert (await queue.depth()).parked == 0
    world.texts.next.append(fast2sms_error(411, "Invalid Numbers"))
    await ask(ravi, "mobile")
    await world.settled(ravi, "failed")

    _, _, parked = await queue_depths([queue])

    assert [(each.labels, each.value) for each in parked.samples] == [({"queue": "outbox"}, 1)]
    findings = await asyncio.to_thread(mongodb, world.services.settings, now)
    (told,) = [each for each in findings if each.subject == "outbox"]
    assert told.level is Level.WARN
    assert told.detail.startswith("1 message(s)")


async def test_a_provider_that_quotes_the_message_leaves_no_trace_of_it(world: World) -> None:
    world.mail.play = lambda request: json_answer(
        400, {"errors": [{"message": f"{request.body['content']} to {request.body}"}]}
    )
    asha = await world.person()
    await ask(asha)
    row = await world.settled(asha, "failed")
    assert world.messages("email")[0][:6] not in repr(row)
    assert asha.email not in repr(row)
    assert "Confirm" not in repr(row)


async def test_a_provider_that_quotes_the_address_leaves_no_trace_of_it(world: World) -> None:
    for pad in ("", "x " * 74):  # the longer reason is cut within the address

        def quote(request: Received, pad: str = pad) -> Answer:
            message = f"{pad}to {request.body['personalizations']}"
            return json_answer(400, {"errors": [{"message": message}]})

        world.mail.play = quote
        asha = await world.person(email=f"{unique('asha.1234.')}@{'long.' * 9}example.com")
        await ask(asha)
        row = await world.settled(asha, "failed")
        assert "asha" not in repr(row)
        assert "example.com" not in repr(row)
        assert "subject" not in row


async def test_a_message_that_has_become_useless_is_not_sent(world: World) -> None:
    world.mail.always = Answer(503)
    asha = await world.person()
    await ask(asha)
    await world.services.outbox.drain()
    world.mail.always = None
    world.clock.advance(minutes=11)
    assert await world.services.outbox.sweep()
    row = await world.settled(asha, "failed")
    assert row["error"].endswith("expired before it could be sent")
    assert len(world.mail.received) == 1


async def test_the_last_retry_that_would_come_too_late_is_not_planned(world: World) -> None:
    world.mail.always = Answer(503, b"", {"Retry-After": "900"})
    asha = await world.person()
    await ask(asha)
    row = await world.settled(asha, "failed")
    assert row["attempts"] == 1


async def test_the_wait_a_provider_asks_for_is_kept(world: World) -> None:
    world.mail.next.append(Answer(429, b"", {"Retry-After": "60"}))
    asha = await world.person()
    await ask(asha)
    await world.services.outbox.drain()
    await world.settled(asha, "pending")
    world.clock.advance(seconds=55)
    assert not await world.services.outbox.sweep()
    world.clock.advance(seconds=6)
    assert await world.services.outbox.sweep()
    await world.settled(asha, "sent")


async def test_many_processes_send_each_message_once(world: World) -> None:
    world.mail.always = Answer(503)
    people = [await world.person() for _ in range(12)]
    await asyncio.gather(*(ask(person) for person in people))
    await world.services.outbox.drain()
    while await world.services.outbox.sweep():
        pass
    for person in people:
        await world.settled(person, "pending")
    world.mail.always = None
    world.mail.received.clear()
    world.clock.advance(seconds=60)
    workers = [another_process(world) for _ in range(4)]

    async def work(outbox: Outbox) -> None:
        while await outbox.sweep():
            pass

    await asyncio.gather(*(work(worker) for worker in workers))
    for person in people:
        await world.settled(person, "sent")
    addressed = [body["personalizations"][0]["to"][0]["email"] for body in world.mail.accepted]
    assert sorted(addressed) == sorted(person.email for person in people)
    await asyncio.gather(*(worker.close() for worker in workers))


async def test_a_message_whose_sender_died_is_taken_over_when_its_lease_is_over(
    world: World,
) -> None:
    asha = await world.person()
    world.mail.always = SILENCE
    dying = another_process(world, deadline=60)
    await world.services.outbox.post(
        Channel.EMAIL,
        "confirm_email",
        asha.email,
        "042917",
        subject="Code",
        expires_at=world.clock() + timedelta(minutes=10),
        user_id=asha.id,
    )
    task = asyncio.create_task(dying.sweep())
    await until(lambda: world.mail.received)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    world.mail.always = None
    world.mail.hang_up()
    assert not await world.services.outbox.sweep()
    world.clock.advance(seconds=31)
    assert await world.services.outbox.sweep()
    await world.settled(asha, "sent")
    await dying.close()


async def test_a_message_that_met_a_process_without_its_secret_is_sent_by_one_with_it(
    world: World,
) -> None:
    asha = await world.person()
    world.mail.always = Answer(503)
    await ask(asha)
    await world.services.outbox.drain()
    stranger = another_process(world, secret="another-secret-altogether-1234567")
    world.mail.always = None
    world.clock.advance(seconds=5)
    assert await stranger.sweep()
    await stranger.close()
    assert (await world.message(asha))["status"] == "pending"
    world.clock.advance(seconds=11)
    await world.services.outbox.sweep()
    await world.settled(asha, "sent")


async def test_a_message_sealed_with_another_secret_waits_for_who_has_it_and_not_for_ever(
    world: World,
) -> None:
    asha = await world.person()
    world.mail.always = Answer(503)
    await ask(asha)
    await world.services.outbox.drain()
    await world.settled(asha, "pending")
    world.clock.advance(seconds=5)
    stranger = another_process(world, secret="another-secret-altogether-1234567")
    assert await stranger.sweep()
    row = await world.message(asha)
    assert (row["status"], row["attempts"]) == ("pending", 2)
    assert "not configured" in row["error"]
    world.clock.advance(minutes=11)
    assert await stranger.sweep()
    assert (await world.settled(asha, "failed"))["error"].endswith(
        "expired before it could be sent"
    )
    await stranger.close()


async def test_the_mailbox_of_the_sandbox_shows_what_was_sent(
    open_world: OpenWorld, sandbox_url: str
) -> None:
    async with open_world(
        email_api_key=None, fast_2_sms_key=None, mailbox_url=sandbox_url
    ) as world:
        asha = await world.person()
        await ask(asha, "email")
        await world.settled(asha, "sent")
        world.clock.advance(minutes=1)
        async with httpx.AsyncClient(
            base_url=sandbox_url, trust_env=False, verify=NO_AUTHORITIES
        ) as mailbox:
            answer = await mailbox.get("/_sandbox/mailbox", params={"to": asha.email})
            (mail,) = answer.json()["items"]
            assert mail["subject"] == "Confirm your e-mail address for KernaPay"
            assert (await asha.confirm("email", mail["text"][:6])).status_code == 200


async def test_the_real_adapters_reach_the_sandbox(open_world: OpenWorld, sandbox_url: str) -> None:
    """The sandbox plays both providers: whoever wants to see real calls points them there."""
    async with open_world(sendgrid_url=sandbox_url, fast_2_sms_url=sandbox_url) as world:
        asha, ravi = await world.person(), await world.person()
        await ask(asha, "email")
        await ask(ravi, "mobile")
        await world.settled(asha, "sent")
        await world.settled(ravi, "sent")
