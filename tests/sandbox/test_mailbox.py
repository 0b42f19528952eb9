import pytest

from tests.sandbox.sandbox_process import SandboxProcess

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


def test_messages_are_kept_newest_first_and_found_by_address(sandbox: SandboxProcess) -> None:
    sandbox.control("/mailbox", channel="email", to="a@example.com", subject="Hi", text="one")
    sandbox.control("/mailbox", channel="sms", to="9000000001", text="two")
    assert [m["text"] for m in sandbox.inspect("/mailbox")["items"]] == ["two", "one"]
    (mail,) = sandbox.inspect("/mailbox?to=a@example.com")["items"]
    assert (mail["channel"], mail["subject"], mail["text"]) == ("email", "Hi", "one")
    assert sandbox.inspect("/mailbox?channel=sms")["count"] == 1
    sandbox.control("/mailbox", "DELETE")
    assert sandbox.inspect("/mailbox")["count"] == 0
    invalid = {"channel": "pigeon", "to": "x", "text": "y"}
    assert sandbox.anonymous.post("/_sandbox/mailbox", json=invalid).status_code == 400


def test_a_number_with_a_plus_is_found_escaped_or_not(sandbox: SandboxProcess) -> None:
    sandbox.control("/mailbox", channel="sms", to="+919876543210", text="one")
    sandbox.control("/mailbox", channel="sms", to="9876543210", text="two")
    # In a query, an unescaped + means a space.
    for number in ("+919876543210", "%2B919876543210"):
        assert [m["text"] for m in sandbox.inspect(f"/mailbox?to={number}")["items"]] == ["one"]
    assert [m["text"] for m in sandbox.inspect("/mailbox?to=9876543210")["items"]] == ["two"]


def test_a_mail_to_sendgrid_is_caught(sandbox: SandboxProcess) -> None:
    response = sandbox.anonymous.post("/v3/mail/send", json=MAIL, headers=BEARER)
    assert response.status_code == 202
    assert response.content == b""
    assert response.headers["x-message-id"]
    (mail,) = sandbox.inspect("/mailbox?to=asha@example.com")["items"]
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
def test_an_invalid_mail_gets_sendgrids_error(
    sandbox: SandboxProcess, headers: dict[str, str], change: dict[str, object], status: int
) -> None:
    response = sandbox.anonymous.post("/v3/mail/send", json={**MAIL, **change}, headers=headers)
    assert response.status_code == status
    assert response.json()["errors"][0]["message"]
    assert sandbox.inspect("/mailbox")["count"] == 0


def test_a_text_message_to_fast2sms_is_caught(sandbox: SandboxProcess) -> None:
    headers = {"authorization": "key"}
    body = {"route": "otp", "variables_values": "123456", "numbers": "9000000001,9000000002"}
    client = sandbox.anonymous
    for response in (
        client.post("/dev/bulkV2", headers=headers, json=body),
        client.post("/dev/bulkV2", headers=headers, data=body),
    ):
        assert response.status_code == 200
        assert response.json()["return"] is True
    assert sandbox.inspect("/mailbox?to=9000000002")["count"] == 2


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
def test_an_invalid_text_message_gets_fast2sms_error(
    sandbox: SandboxProcess, headers: dict[str, str], change: dict[str, object]
) -> None:
    body = {"route": "q", "message": "hello", "numbers": "9000000001", **change}
    response = sandbox.anonymous.post("/dev/bulkV2", json=body, headers=headers)
    assert response.status_code in {400, 401}
    assert response.json()["return"] is False
    assert sandbox.inspect("/mailbox")["count"] == 0


def test_a_fault_with_a_providers_route_applies_to_the_provider(sandbox: SandboxProcess) -> None:
    sandbox.arm_fault("server_error", times=None)
    assert sandbox.anonymous.post("/v3/mail/send", json=MAIL, headers=BEARER).status_code == 202
    sandbox.arm_fault("rate_limit", route="/v3/*")
    assert sandbox.anonymous.post("/v3/mail/send", json=MAIL, headers=BEARER).status_code == 429


def test_a_receiver_takes_any_body_with_the_answer_that_its_url_names(
    sandbox: SandboxProcess,
) -> None:
    for query, status in (("", 200), ("?answer=503", 503), ("?answer=99", 400)):
        answer = sandbox.anonymous.post(f"/_sandbox/receiver/till{query}", content=b"\x00 not JSON")
        assert answer.status_code == status, query
