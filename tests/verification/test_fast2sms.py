from collections.abc import AsyncIterator

import pytest

from kernapay.devstack.ports import free_port
from kernapay.notifications.base import Rejected, TryLater
from kernapay.notifications.fast2sms import Fast2Sms
from tests.verification.provider import (
    FAST2SMS_KEY,
    GARBAGE,
    HANG_UP,
    HOST,
    SILENCE,
    Answer,
    Provider,
    fast2sms,
    fast2sms_error,
    json_answer,
    playing,
)

pytestmark = pytest.mark.anyio
NUMBER = "+919876543210"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with playing(fast2sms) as provider:
        yield provider


@pytest.fixture
async def sender(provider: Provider) -> AsyncIterator[Fast2Sms]:
    sender = Fast2Sms(FAST2SMS_KEY, f"{provider.url}/dev/bulkV2")
    yield sender
    await sender.close()


async def test_a_text_is_accepted_in_the_documented_form(
    sender: Fast2Sms, provider: Provider
) -> None:
    await sender.send(NUMBER, "042917 is your code.")
    (request,) = provider.received
    assert request.path == "/dev/bulkV2"
    assert request.headers["authorization"] == FAST2SMS_KEY
    assert request.body == {
        "route": "q",
        "message": "042917 is your code.",
        "language": "english",
        "flash": 0,
        "numbers": "9876543210",
    }


async def test_an_address_without_a_path_gets_the_documented_one(provider: Provider) -> None:
    sender = Fast2Sms(FAST2SMS_KEY, provider.url)
    await sender.send(NUMBER, "042917")
    assert provider.received[0].path == "/dev/bulkV2"
    await sender.close()


async def test_a_wrong_key_is_refused_for_good(provider: Provider) -> None:
    sender = Fast2Sms("wrong", provider.url)
    with pytest.raises(Rejected, match="HTTP 401: 412 Invalid Authentication"):
        await sender.send(NUMBER, "042917")
    await sender.close()


@pytest.mark.parametrize("number", ["+447911123456", "+9198765432", "+91987654321x", "9876543210"])
async def test_a_number_out_of_reach_is_never_asked_for(
    sender: Fast2Sms, provider: Provider, number: str
) -> None:
    assert not sender.reaches(number)
    with pytest.raises(Rejected, match="Indian numbers"):
        await sender.send(number, "042917")
    assert provider.received == []


async def test_an_indian_number_is_reached(sender: Fast2Sms) -> None:
    assert sender.reaches(NUMBER)


@pytest.mark.parametrize("code", [401, 402, 411, 413, 414, 415, 500, 996, 999])
async def test_documented_errors_are_refusals(
    sender: Fast2Sms, provider: Provider, code: int
) -> None:
    provider.next.append(fast2sms_error(code, "As documented"))
    with pytest.raises(Rejected, match=f"HTTP 400: {code} As documented"):
        await sender.send(NUMBER, "042917")


@pytest.mark.parametrize("code", [416, 995])
async def test_an_empty_wallet_and_the_spam_limit_pass(
    sender: Fast2Sms, provider: Provider, code: int
) -> None:
    provider.next.append(fast2sms_error(code, "As documented"))
    with pytest.raises(TryLater, match=f"HTTP 400: {code} As documented"):
        await sender.send(NUMBER, "042917")


async def test_a_refusal_inside_a_200_is_a_refusal(sender: Fast2Sms, provider: Provider) -> None:
    provider.next.append(fast2sms_error(411, "Invalid Numbers", status=200))
    with pytest.raises(Rejected, match="411 Invalid Numbers"):
        await sender.send(NUMBER, "042917")


@pytest.mark.parametrize("status", [429, 500, 502])
async def test_a_failing_provider_is_tried_later(
    sender: Fast2Sms, provider: Provider, status: int
) -> None:
    provider.next.append(Answer(status, b"<html>", {"Retry-After": "9"}))
    with pytest.raises(TryLater, match=f"HTTP {status}") as failure:
        await sender.send(NUMBER, "042917")
    assert failure.value.retry_after == 9


@pytest.mark.parametrize("answer", [HANG_UP, GARBAGE], ids=["hang up", "garbage"])
async def test_no_proper_answer_is_tried_later(
    sender: Fast2Sms, provider: Provider, answer: Answer
) -> None:
    provider.next.append(answer)
    with pytest.raises(TryLater, match="no answer: RemoteProtocolError"):
        await sender.send(NUMBER, "042917")


async def test_silence_is_given_up_at_the_deadline_and_tried_later(provider: Provider) -> None:
    provider.next.append(SILENCE)
    hasty = Fast2Sms(FAST2SMS_KEY, provider.url, deadline=0.3)
    with pytest.raises(TryLater, match=r"no answer: .*Timeout"):
        await hasty.send(NUMBER, "042917")
    await hasty.close()


async def test_a_refused_connection_is_tried_later() -> None:
    sender = Fast2Sms(FAST2SMS_KEY, f"http://{HOST}:{free_port()}")
    with pytest.raises(TryLater, match="no answer: ConnectError"):
        await sender.send(NUMBER, "042917")
    await sender.close()


@pytest.mark.parametrize(
    "body", [b"", b"OK", b"\xff", b"[]", b"{}", b'{"return": "true"}', b'{"return": true']
)
async def test_a_malformed_answer_is_not_taken_for_success(
    sender: Fast2Sms, provider: Provider, body: bytes
) -> None:
    provider.next.extend((Answer(200, body), Answer(400, body)))
    with pytest.raises(TryLater, match="HTTP 200: not the documented answer"):
        await sender.send(NUMBER, "042917")
    with pytest.raises(Rejected, match="HTTP 400: refused without a reason"):
        await sender.send(NUMBER, "042917")


async def test_a_refusal_with_a_list_for_a_message_is_readable(
    sender: Fast2Sms, provider: Provider
) -> None:
    told = {"return": False, "status_code": 411, "message": ["Invalid Numbers"]}
    provider.next.append(json_answer(400, told))
    with pytest.raises(Rejected, match=r"411 \['Invalid Numbers'\]"):
        await sender.send(NUMBER, "042917")
