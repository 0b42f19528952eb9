"""The API in this process, between a clock that can be moved and two providers on real sockets."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from pymongo.database import Database

from kernapay.bootstrap.services import Services
from kernapay.core.clock import now
from kernapay.storage.mongo import database
from tests.factories import PASSWORD, sign_up_body
from tests.stack import Server
from tests.verification.provider import (
    FAST2SMS_KEY,
    SENDGRID_KEY,
    Provider,
    fast2sms,
    playing,
    sendgrid,
)

USERS = "/v1/api/users"
VERIFICATION = "/v1/api/verification"
_CODE = re.compile(r"\b\d{6}\b")


class Clock:
    """The time, until it is moved."""

    def __init__(self) -> None:
        self._moved = timedelta()

    def __call__(self) -> datetime:
        return now() + self._moved

    def advance(self, **by: float) -> None:
        self._moved += timedelta(**by)


class Person:
    def __init__(self, world: "World", user: dict[str, Any], token: str) -> None:
        self._world = world
        self.id: str = user["_id"]
        self.email: str = user["email"]
        self.token = token

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.call("POST", path, json=body, headers=headers)

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if options.get("json") is None:
            options.pop("json", None)
        return await self._world.client.request(method, path, headers=headers, **options)

    async def profile(self) -> dict[str, Any]:
        answer = await self.call("GET", f"{USERS}/profile")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def request(self, channel: str) -> str:
        """Ask for a code, and take it out of the message that comes."""
        seen = len(self._world.said(channel))
        answer = await self.post(f"{VERIFICATION}/{channel}/request")
        assert answer.status_code == 202, answer.text
        return await self._world.code(channel, seen)

    async def confirm(self, channel: str, code: str) -> httpx.Response:
        return await self.post(f"{VERIFICATION}/{channel}/confirm", {"code": code})


class World:
    """The API, its clock, its providers and its people."""

    def __init__(
        self, client: Any, services: Services, clock: Clock, mail: Provider, texts: Provider
    ) -> None:
        self.client = client
        self.services = services
        self.clock = clock
        self.mail = mail
        self.texts = texts

    async def person(self, **changes: Any) -> Person:
        body = sign_up_body(**changes)
        answer = await self.client.post(f"{USERS}/signup", json=body)
        assert answer.status_code == 201, answer.text
        answer = await self.log_in(body["email"], body["password"])
        assert answer.status_code == 200, answer.text
        return Person(self, answer.json()["user"], answer.json()["token"])

    async def log_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        return await self.client.post(f"{USERS}/login", json={"email": email, "password": password})

    async def forgot(self, email: str) -> httpx.Response:
        return await self.client.post(f"{USERS}/password/forgot", json={"email": email})

    async def reset(self, email: str, code: str, password: str, **changes: Any) -> httpx.Response:
        body = {"email": email, "code": code, "password": password, "confirmPassword": password}
        return await self.client.post(f"{USERS}/password/reset", json={**body, **changes})

    async def forgotten(self, email: str) -> str:
        """Ask for a reset, and take the code out of the mail."""
        seen = len(self.said("email"))
        assert (await self.forgot(email)).status_code == 202
        return await self.code("email", seen)

    def said(self, channel: str) -> list[str]:
        """The texts that a provider took."""
        if channel == "email":
            return [body["content"][0]["value"] for body in self.mail.accepted]
        return [body["message"] for body in self.texts.accepted]

    async def code(self, channel: str, position: int) -> str:
        text = await self.text(channel, position)
        found = _CODE.search(text)
        assert found, text
        return found[0]

    async def text(self, channel: str, position: int) -> str:
        await until(lambda: len(self.said(channel)) > position)
        return self.said(channel)[position]

    async def rows(self, collection: str, **where: Any) -> list[dict[str, Any]]:
        """Look into the database, off the event loop."""
        return await self.services.mongo.run(lambda: list(database()[collection].find(where)))

    async def message(self, person: Person) -> dict[str, Any]:
        """The one message of a person's."""
        (row,) = await self.rows("messages", userId=ObjectId(person.id))
        return row

    async def settled(self, person: Person, status: str) -> dict[str, Any]:
        """The person's one message, once it has this status."""

        async def has_it() -> bool:
            return (await self.message(person))["status"] == status

        await until_true(has_it)
        return await self.message(person)


async def until(look: Callable[[], object], within: float = 10) -> None:
    async def looked() -> bool:
        return bool(look())

    await until_true(looked, within)


async def until_true(look: Callable[[], Awaitable[bool]], within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not await look():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(in_process: Any, store: Database[dict[str, Any]]) -> OpenWorld:
    """Start an API with other settings than `world` has; nobody else's messages wait to be sent."""
    store.messages.delete_many({})

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[World]:
        clock = Clock()
        async with playing(sendgrid) as mail, playing(fast2sms) as texts:
            given = {
                "email_api_key": SENDGRID_KEY,
                "sender_email": "pay@example.com",
                "sendgrid_url": mail.url,
                "fast_2_sms_key": FAST2SMS_KEY,
                "fast_2_sms_url": texts.url,
                "rate_limits": False,
                **settings,
            }
            async with in_process(clock=clock, **given) as client:
                yield World(client, client.app.state.services, clock, mail, texts)

    return opened


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    async with open_world() as world:
        yield world


@pytest.fixture(scope="session")
def sandbox_url(_sandbox_server: Server) -> str:
    """The address of this worker's sandbox, once it answers."""
    return _sandbox_server.wait().url


def wrong(code: str) -> str:
    """Another code than this one."""
    return f"{(int(code) + 1) % 1_000_000:06d}"
