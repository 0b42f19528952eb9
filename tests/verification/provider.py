"""A provider of messages played on a real socket: it answers as documented, or as badly as a test wants."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from tests.secrecy import confidential, learn

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        headers = {"Content-Length": str(len(self.body)), "Connection": "close", **self.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def json_answer(status: int, body: Any, **headers: str) -> Answer:
    head = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return Answer(status, msgspec.json.encode(body), head)


SILENCE = Answer(status=100)
"""Take the request and never answer."""
HANG_UP = Answer(status=101)
"""Close the connection instead of answering."""
GARBAGE = Answer(status=102)
"""Answer with what is no HTTP at all."""

Play = Callable[[Received], Answer]


class Provider:
    """Answers with what stands in `next`, and once that is used up with what `play` says."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.received: list[Received] = []
        self.next: deque[Answer] = deque()
        self.always: Answer | None = None
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def accepted(self) -> list[Any]:
        """Return the bodies of the requests so far."""
        return [request.body for request in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            request = await _read(reader)
            self.received.append(request)
            learn(request.body)
            answer = self.always or (self.next.popleft() if self.next else self.play(request))
            if answer is SILENCE:
                await reader.read()
            elif answer is GARBAGE:
                writer.write(b"\x00\xffhello\r\n\r\n")
            elif answer is not HANG_UP:
                writer.write(answer.encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has gone
        finally:
            self._open.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        for writer in self._open:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = {
        name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, msgspec.json.decode(body) if body else None)


@asynccontextmanager
async def playing(play: Play) -> AsyncIterator[Provider]:
    provider = Provider(play)
    server = await asyncio.start_server(provider.serve, HOST, 0)
    provider.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        provider.hang_up()
        server.close()
        await server.wait_closed()


SENDGRID_KEY = "SG.tests-7d1f0c2ab3e94856.key"
FAST2SMS_KEY = "F2S-tests-55b0c1d9e7a24f68"
confidential.update((SENDGRID_KEY, FAST2SMS_KEY))


def sendgrid(request: Received) -> Answer:
    """Answer POST /v3/mail/send as SendGrid documents it."""
    if (request.method, request.path) != ("POST", "/v3/mail/send"):
        return _sendgrid_error(404, "not found")
    if request.headers.get("authorization") != f"Bearer {SENDGRID_KEY}":
        return _sendgrid_error(
            401, "The provided authorization grant is invalid, expired, or revoked"
        )
    body = request.body
    if not body.get("personalizations") or not body["personalizations"][0].get("to"):
        return _sendgrid_error(400, "You must have at least one personalization.")
    if "email" not in body.get("from", {}):
        return _sendgrid_error(400, "The from object must be provided for every email send.")
    if not body.get("subject") or not body.get("content"):
        return _sendgrid_error(400, "The subject and the content are required.")
    if any(set(part) != {"type", "value"} or not part["value"] for part in body["content"]):
        return _sendgrid_error(400, "The content value must be a string at least one character.")
    return Answer(202, b"", {"X-Message-Id": "14c5d75ce93.dfd.64b469"})


def _sendgrid_error(status: int, message: str) -> Answer:
    return json_answer(status, {"errors": [{"message": message, "field": None, "help": None}]})


def fast2sms(request: Received) -> Answer:
    """Answer POST /dev/bulkV2 on the quick route as Fast2SMS documents it."""
    body = request.body
    if request.headers.get("authorization") != FAST2SMS_KEY:
        return fast2sms_error(412, "Invalid Authentication, Check Authorization Key", status=401)
    if (request.method, request.path) != ("POST", "/dev/bulkV2"):
        return fast2sms_error(990, "You're hitting old API. Refer updated documentation")
    if not body.get("message"):
        return fast2sms_error(402, "Message Text Missing")
    if body.get("route") != "q":
        return fast2sms_error(408, "Invalid Route")
    if body.get("language") != "english":
        return fast2sms_error(410, "Invalid Language")
    if not str(body.get("numbers", "")).isdecimal() or len(str(body["numbers"])) != 10:
        return fast2sms_error(411, "Invalid Numbers")
    return json_answer(
        200,
        {"return": True, "request_id": "lwdtp7cjyqxvfe9", "message": ["SMS sent successfully."]},
    )


def fast2sms_error(code: int, message: str, status: int = 400) -> Answer:
    return json_answer(status, {"return": False, "status_code": code, "message": message})
