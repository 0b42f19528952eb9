"""Catch what would have gone to people's mailboxes and telephones."""

from typing import Any

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from msgspec import Struct, field

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.control.body import read
from kernapay.sandbox.entities import Message
from kernapay.sandbox.errors import ControlError, RazorpayError
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.rest.call import AnyRequest, answer
from kernapay.sandbox.views import collection

MOST_MESSAGES = 1_000


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
    async def catch(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        wanted = await read(request, MessageCreate)
        if wanted.channel not in {"email", "sms"}:
            raise ControlError("channel must be email or sms.", field="channel")
        message = keep(sandbox, wanted.channel, wanted.to, wanted.text, wanted.subject)
        return answer(message)

    @get("/")
    async def list(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        query = Fields.of_query(request.scope["query_string"])
        to, channel = query.text("to"), query.text("channel")
        if to is not None and to.startswith(" "):
            to = f"+{to[1:]}"  # how a number's plus arrives from those who do not write %2B
        query.done()
        messages = sandbox.books.messages.newest(MOST_MESSAGES)
        return answer(
            collection(
                message_view(m)
                for m in messages
                if to in (None, m.to) and channel in (None, m.channel)
            )
        )

    @delete("/", status_code=204)
    async def clear(self, sandbox: NamedDependency[Sandbox]) -> None:
        sandbox.books.messages.clear()


class ProviderController(Controller):
    """SendGrid's and Fast2SMS's own calls, so that their real clients reach the mailbox."""

    @post("/v3/mail/send", status_code=202)
    async def sendgrid(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[Any]:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return sendgrid_error(
                401, "The provided authorization grant is invalid, expired, or revoked"
            )
        try:
            mail = await read(request, SendGridMail)
        except ControlError as problem:
            return sendgrid_error(400, str(problem))
        text = next(
            (c.value for c in mail.content if c.type == "text/plain"), mail.content[0].value
        )
        message_id = new_id("msg")
        for person in mail.personalizations:
            for address in person.to:
                keep(sandbox, "email", address.email, text, person.subject or mail.subject)
        return Response(b"", status_code=202, headers={"X-Message-Id": message_id})

    @post("/dev/bulkV2", status_code=200)
    async def fast2sms(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        if not request.headers.get("authorization", "").strip():
            return fast2sms_error(401, 412, "Invalid Authentication, Check Authorization Key")
        try:
            fields = Fields.of_body(await request.body(), request.headers.get("content-type", ""))
            numbers = fields.value("numbers")
            text = fields.text("message") or fields.text("variables_values")
        except RazorpayError as problem:
            return fast2sms_error(400, 400, str(problem))
        found = [n for n in (part.strip() for part in str(numbers or "").split(",")) if n]
        if not found or not all(n.isdecimal() and len(n) == 10 for n in found):
            return fast2sms_error(400, 411, "Invalid Numbers")
        if not text:
            return fast2sms_error(400, 405, "Message/variables_values required")
        for number in found:
            keep(sandbox, "sms", number, text)
        request_id = new_id("sms").removeprefix("sms_").lower()
        return answer(
            {"return": True, "request_id": request_id, "message": ["SMS sent successfully."]}
        )


def keep(sandbox: Sandbox, channel: str, to: str, text: str, subject: str = "") -> dict[str, Any]:
    message = sandbox.books.messages.add(
        Message(
            id=new_id("msg"),
            channel=channel,
            to=to,
            subject=subject,
            text=text,
            at=sandbox.clock.stamp(),
        )
    )
    while len(sandbox.books.messages) > MOST_MESSAGES:
        sandbox.books.messages.remove(next(iter(sandbox.books.messages)).id)
    return message_view(message)


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
    return answer({"errors": [{"message": message, "field": None, "help": None}]}, status)


def fast2sms_error(status: int, code: int, message: str) -> Response[bytes]:
    return answer({"return": False, "status_code": code, "message": message}, status)
