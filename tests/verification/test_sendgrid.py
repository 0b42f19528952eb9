from collections.abc import AsyncIterator

import pytest

from kernapay.devstack.ports import free_port
from kernapay.notifications.base import Rejected, TryLater
from kernapay.notifications.sendgrid import SendGrid
from tests.verification.provider import (
    GARBAGE,
    HANG_UP,
    HOST,
    SENDGRID_KEY,
    SILENCE,
    Answer,
    Provider,
    json_answer,
    playing,
    sendgrid,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with playing(sendgrid) as provider:
        yield provider


@pytest.fixture
async def sender(provider: Provider) -> AsyncIterator[SendGrid]:
    sender = SendGrid(SENDGRID_KEY, "pay@example.com", "Asha's shop", provider.url)
    yield sender
    await sender.close()


async def test_a_mail_is_accepted_in_the_documented_form(
    sender: SendGrid, provider: Provider
) -> None:
    await sender.send("asha@example.com", "Your code", "042917 is your code.")
    (request,) = provider.received
    assert request.headers["content-type"] == "application/json"
    assert request.body["personalizations"] == [{"to": [{"email": "asha@example.com"}]}]
    assert request.body["from"] == {"email": "pay@example.com", "name": "Asha's shop"}
    assert request.body["subject"] == "Your code"
    assert request.body["content"] == [{"type": "text/plain", "value": "042917 is your code."}]
    assert request.body["tracking_settings"]["click_tracking"] == {"enable": False}


async def test_a_wrong_key_is_refused_for_good(provider: Provider) -> None:
    sender = SendGrid("SG.wrong", "pay@example.com", "Shop", provider.url)
    with pytest.raises(Rejected, match=r"HTTP 401: The provided authorization grant is invalid"):
        await sender.send("asha@example.com", "Your code", "042917")
    await sender.close()


async def test_a_bad_mail_is_refused_with_the_providers_reason(sender: SendGrid) -> None:
    with pytest.raises(Rejected, match=r"HTTP 400: The subject and the content are required"):
        await sender.send("asha@example.com", "", "042917")


async def test_too_many_requests_are_repeated_when_the_provider_says(
    sender: SendGrid, provider: Provider
) -> None:
    body = {"errors": [{"message": "too many requests", "field": None, "help": None}]}
    provider.next.append(json_answer(429, body, Retry_After="17"))
    with pytest.raises(TryLater, match="HTTP 429") as failure:
        await sender.send("asha@example.com", "Your code", "042917")
    assert failure.value.retry_after == 17


@pytest.mark.parametrize("value", ["soon", "-5", "9" * 50, "\xb2", ""])
async def test_an_odd_retry_after_is_ignored(
    sender: SendGrid, provider: Provider, value: str
) -> None:
    provider.next.append(Answer(503, b"", {"Retry-After": value}))
    with pytest.raises(TryLater) as failure:
        await sender.send("asha@example.com", "Your code", "042917")
    assert failure.value.retry_after == 0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_provider_is_tried_later(
    sender: SendGrid, provider: Provider, status: int
) -> None:
    provider.next.append(Answer(status, b"<html>Bad gateway</html>"))
    with pytest.raises(TryLater, match=f"HTTP {status}"):
        await sender.send("asha@example.com", "Your code", "042917")


@pytest.mark.parametrize("answer", [HANG_UP, GARBAGE], ids=["hang up", "garbage"])
async def test_no_proper_answer_is_tried_later(
    sender: SendGrid, provider: Provider, answer: Answer
) -> None:
    provider.next.append(answer)
    with pytest.raises(TryLater, match="no answer: RemoteProtocolError"):
        await sender.send("asha@example.com", "Your code", "042917")


async def test_silence_is_given_up_at_the_deadline_and_tried_later(provider: Provider) -> None:
    provider.next.append(SILENCE)
    hasty = SendGrid(SENDGRID_KEY, "pay@example.com", "Shop", provider.url, deadline=0.3)
    with pytest.raises(TryLater, match=r"no answer: .*Timeout"):
        await hasty.send("asha@example.com", "Your code", "042917")
    await hasty.close()


async def test_a_refused_connection_is_tried_later() -> None:
    sender = SendGrid(SENDGRID_KEY, "pay@example.com", "Shop", f"http://{HOST}:{free_port()}")
    with pytest.raises(TryLater, match="no answer: ConnectError"):
        await sender.send("asha@example.com", "Your code", "042917")
    await sender.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[]", b'{"errors": 7}', b'{"errors": [null]}', b"[" * 5000, b'{"errors"'],
)
async def test_a_malformed_refusal_is_still_a_refusal(
    sender: SendGrid, provider: Provider, body: bytes
) -> None:
    provider.next.append(Answer(400, body))
    with pytest.raises(Rejected, match="HTTP 400: refused without a reason"):
        await sender.send("asha@example.com", "Your code", "042917")


@pytest.mark.parametrize("status", [200, 204, 301])
async def test_an_undocumented_answer_is_not_taken_for_success(
    sender: SendGrid, provider: Provider, status: int
) -> None:
    headers = {"Location": f"{provider.url}/elsewhere"} if status == 301 else {}
    provider.next.append(Answer(status, b"", headers))
    with pytest.raises(TryLater, match=f"HTTP {status}: not the documented answer"):
        await sender.send("asha@example.com", "Your code", "042917")
    # A redirect is not followed: the key would travel with it.
    assert len(provider.received) == 1
