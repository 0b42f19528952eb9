"""Catch the mails and text messages that a service sends."""

from typing import Any

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from msgspec import Struct, field

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.entities import Message
from kernapay.sandbox.errors import ControlError, RazorpayError, check_choice
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.views import collection

# The oldest messages are removed beyond this number.
MAX_MESSAGES = 1_000


class MessageCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    channel: str
    to: str
    text: str
    subject: str = ""


class Address(Struct):
    email: str
    name: str | None = None


class Personalization(Struct, kw_only=True):
    to: list[Address]
    subject: str | None = None


class Content(Struct):
    type: str
    value: str


class SendGridMail(Struct, kw_only=True):
    personalizations: list[Personalization]
    sender: Address = field(name="from")
    subject: str = ""
    content: list[Content]

    def __post_init__(self) -> None:
        if not self.personalizations or not self.content:
            raise ValueError("personalizations and content must not be empty")


class MailboxController(Controller):
    path = "/_sandbox/mailbox"

    @post("/", status_code=200)
    async def create(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, MessageCreate)
        check_choice("channel", body.channel, ("email", "sms"))
        message = store_message(sandbox, body.channel, body.to, body.text, body.subject)
        return json_response(message_view(message))

    @get("/")
    async def list(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        query = Fields.from_query(request.scope["query_string"])
        to, channel = query.text("to"), query.text("channel")
        if to is not None and to.startswith(" "):
            to = f"+{to[1:]}"  # in a query, an unescaped plus means a space
        query.reject_unread()
        messages = sandbox.store.messages.newest(MAX_MESSAGES)
        return json_response(
            collection(
                message_view(m)
                for m in messages
                if to in (None, m.to) and channel in (None, m.channel)
            )
        )

    @delete("/", status_code=204)
    async def clear(self, sandbox: NamedDependency[Sandbox]) -> None:
        sandbox.store.messages.clear()


class ProviderController(Controller):
    """Take the calls of SendGrid and Fast2SMS, so that their clients reach the mailbox."""

    @post("/v3/mail/send", status_code=202)
    async def send_mail(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[Any]:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return sendgrid_error(
                401, "The provided authorization grant is invalid, expired, or revoked"
            )
        try:
            mail = await read_json(request, SendGridMail)
        except ControlError as error:
            return sendgrid_error(400, str(error))
        text = next(
            (c.value for c in mail.content if c.type == "text/plain"), mail.content[0].value
        )
        message_id = new_id("msg")
        for recipients in mail.personalizations:
            for address in recipients.to:
                store_message(
                    sandbox, "email", address.email, text, recipients.subject or mail.subject
                )
        return Response(b"", status_code=202, headers={"X-Message-Id": message_id})

    @post("/dev/bulkV2", status_code=200)
    async def send_text_message(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        if not request.headers.get("authorization", "").strip():
            return fast2sms_error(401, 412, "Invalid Authentication, Check Authorization Key")
        try:
            fields = Fields.from_body(await request.body(), request.headers.get("content-type", ""))
            numbers = fields.value("numbers")
            text = fields.text("message") or fields.text("variables_values")
        except RazorpayError as error:
            return fast2sms_error(400, 400, str(error))
        recipients = [n for n in (part.strip() for part in str(numbers or "").split(",")) if n]
        if not recipients or not all(n.isdecimal() and len(n) == 10 for n in recipients):
            return fast2sms_error(400, 411, "Invalid Numbers")
        if not text:
            return fast2sms_error(400, 405, "Message/variables_values required")
        for number in recipients:
            store_message(sandbox, "sms", number, text)
        request_id = new_id("sms").removeprefix("sms_").lower()
        return json_response(
            {"return": True, "request_id": request_id, "message": ["SMS sent successfully."]}
        )


def store_message(sandbox: Sandbox, channel: str, to: str, text: str, subject: str = "") -> Message:
    """Store a message, and remove the oldest if the mailbox is full."""
    message = sandbox.store.messages.add(
        Message(
            id=new_id("msg"),
            channel=channel,
            to=to,
            subject=subject,
            text=text,
            at=sandbox.clock.timestamp(),
        )
    )
    while len(sandbox.store.messages) > MAX_MESSAGES:
        sandbox.store.messages.remove(next(iter(sandbox.store.messages)).id)
    return message


def message_view(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "channel": message.channel,
        "to": message.to,
        "subject": message.subject,
        "text": message.text,
        "at": message.at,
    }


def sendgrid_error(status: int, message: str) -> Response[bytes]:
    return json_response({"errors": [{"message": message, "field": None, "help": None}]}, status)


def fast2sms_error(status: int, code: int, message: str) -> Response[bytes]:
    return json_response({"return": False, "status_code": code, "message": message}, status)
