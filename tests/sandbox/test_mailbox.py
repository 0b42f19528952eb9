import pytest

from tests.sandbox.box import Box

BEARER = {"authorization": "Bearer SG.key"}
MAIL = {
    "personalizations": [{"to": [{"email": "asha@example.com"}]}],
    "from": {"email": "no-reply@example.com"},
    "subject": "Your code",
    "content": [
        {"type": "text/html", "value": "<b>123456</b>"},
        {"type": "text/plain", "value": "123456"},
    ],
}


def test_messages_are_kept_newest_first_and_found_by_address(box: Box) -> None:
    box.control("/mailbox", channel="email", to="a@example.com", subject="Hi", text="one")
    box.control("/mailbox", channel="sms", to="9000000001", text="two")
    assert [m["text"] for m in box.look("/mailbox")["items"]] == ["two", "one"]
    (found,) = box.look("/mailbox?to=a@example.com")["items"]
    assert (found["channel"], found["subject"], found["text"]) == ("email", "Hi", "one")
    assert box.look("/mailbox?channel=sms")["count"] == 1
    box.control("/mailbox", "DELETE")
    assert box.look("/mailbox")["count"] == 0
    bad = {"channel": "pigeon", "to": "x", "text": "y"}
    assert box.stranger.post("/_sandbox/mailbox", json=bad).status_code == 400


def test_a_number_is_found_by_its_plus_however_it_is_written(box: Box) -> None:
    box.control("/mailbox", channel="sms", to="+919876543210", text="one")
    box.control("/mailbox", channel="sms", to="9876543210", text="two")
    # In a query, + is a space.
    for written in ("+919876543210", "%2B919876543210"):
        assert [m["text"] for m in box.look(f"/mailbox?to={written}")["items"]] == ["one"]
    assert [m["text"] for m in box.look("/mailbox?to=9876543210")["items"]] == ["two"]


def test_a_mail_sent_as_to_sendgrid_arrives(box: Box) -> None:
    sent = box.stranger.post("/v3/mail/send", json=MAIL, headers=BEARER)
    assert sent.status_code == 202
    assert sent.content == b""
    assert sent.headers["x-message-id"]
    (mail,) = box.look("/mailbox?to=asha@example.com")["items"]
    assert (mail["subject"], mail["text"]) == ("Your code", "123456")


@pytest.mark.parametrize(
    ("headers", "change", "status"),
    [
        ({}, {}, 401),
        ({"authorization": "Basic SG.key"}, {}, 401),
        (BEARER, {"content": []}, 400),
        (BEARER, {"personalizations": []}, 400),
        (BEARER, {"from": None}, 400),
        (BEARER, {"personalizations": [{"to": "asha@example.com"}]}, 400),
    ],
)
def test_sendgrid_refuses_in_its_own_form(
    box: Box, headers: dict[str, str], change: dict[str, object], status: int
) -> None:
    answer = box.stranger.post("/v3/mail/send", json={**MAIL, **change}, headers=headers)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]
    assert box.look("/mailbox")["count"] == 0


def test_a_text_sent_as_to_fast2sms_arrives(box: Box) -> None:
    headers = {"authorization": "key"}
    body = {"route": "otp", "variables_values": "123456", "numbers": "9000000001,9000000002"}
    for send in ({"json": body}, {"data": body}):
        answer = box.stranger.post("/dev/bulkV2", headers=headers, **send)
        assert answer.status_code == 200
        assert answer.json()["return"] is True
    assert box.look("/mailbox?to=9000000002")["count"] == 2


@pytest.mark.parametrize(
    ("headers", "change"),
    [
        ({}, {}),
        ({"authorization": "k"}, {"numbers": "12"}),
        ({"authorization": "k"}, {"numbers": None}),
        ({"authorization": "k"}, {"message": ""}),
        ({"authorization": "k"}, {"message": {"a": 1}}),
    ],
)
def test_fast2sms_refuses_in_its_own_form(
    box: Box, headers: dict[str, str], change: dict[str, object]
) -> None:
    body = {"route": "q", "message": "hello", "numbers": "9000000001", **change}
    answer = box.stranger.post("/dev/bulkV2", json=body, headers=headers)
    assert answer.status_code in {400, 401}
    assert answer.json()["return"] is False
    assert box.look("/mailbox")["count"] == 0


def test_a_fault_named_for_its_route_strikes_a_provider_too(box: Box) -> None:
    box.fault("server_error", times=None)
    assert box.stranger.post("/v3/mail/send", json=MAIL, headers=BEARER).status_code == 202
    box.fault("rate_limit", route="/v3/*")
    assert box.stranger.post("/v3/mail/send", json=MAIL, headers=BEARER).status_code == 429
