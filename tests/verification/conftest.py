"""The API in this process, between a clock that can be moved and two providers on real sockets."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from bson import ObjectId

from tests.actors import USERS, VERIFICATION
from tests.aliases import Json, Store, json_of
from tests.clocks import RunningClock
from tests.factories import PASSWORD, sign_up_body
from tests.in_process import InProcess, InProcessClient
from tests.stack import SandboxServer, bearer
from tests.verification.provider import (
    FAST2SMS_KEY,
    SENDGRID_KEY,
    Provider,
    fast2sms,
    playing,
    sendgrid,
)
from tests.waiting import until

_CODE = re.compile(r"\b(?:\d{6}|\d{12})\b")


class Person:
    def __init__(self, world: "World", user: Json, token: str) -> None:
        self._world = world
        self.id: str = user["_id"]
        self.email: str = user["email"]
        self.token = token

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.call("POST", path, json=body, headers=headers)

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**bearer(self.token), **options.pop("headers", {})}
        if options.get("json") is None:
            options.pop("json", None)
        return await self._world.client.request(method, path, headers=headers, **options)

    async def profile(self) -> Json:
        answer = await self.call("GET", f"{USERS}/profile")
        assert answer.status_code == 200, answer.text
        return json_of(answer)

    async def request(self, channel: str) -> str:
        """Request a code, and return it from the message that arrives."""
        seen = len(self._world.messages(channel))
        answer = await self.post(f"{VERIFICATION}/{channel}/request")
        assert answer.status_code == 202, answer.text
        return await self._world.code(channel, seen)

    async def confirm(self, channel: str, code: str) -> httpx.Response:
        return await self.post(f"{VERIFICATION}/{channel}/confirm", {"code": code})


class World:
    """The API, its clock, its providers and its people."""

    def __init__(
        self,
        client: InProcessClient,
        store: Store,
        clock: RunningClock,
        mail: Provider,
        texts: Provider,
    ) -> None:
        self.client = client
        self.store = store
        self.services = client.services
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
        """Request a reset, and return the code from the mail."""
        seen = len(self.messages("email"))
        assert (await self.forgot(email)).status_code == 202
        return await self.code("email", seen)

    def messages(self, channel: str) -> list[str]:
        """Return the texts that a provider received."""
        if channel == "email":
            return [body["content"][0]["value"] for body in self.mail.accepted]
        return [body["message"] for body in self.texts.accepted]

    async def code(self, channel: str, position: int) -> str:
        text = await self.text(channel, position)
        found = _CODE.search(text)
        assert found, text
        return found[0]

    async def text(self, channel: str, position: int) -> str:
        """Return a text once it has arrived and is noted as sent: a moved clock would have it sent again."""
        await until(lambda: len(self.messages(channel)) > position)
        await self.services.outbox.drain()
        return self.messages(channel)[position]

    async def rows(self, collection: str, **where: Any) -> list[Json]:
        """Read rows of the database, off the event loop."""
        return await asyncio.to_thread(lambda: list(self.store[collection].find(where)))

    async def message(self, person: Person) -> Json:
        """Return the person's only message."""
        (row,) = await self.rows("messages", userId=ObjectId(person.id))
        return row

    async def settled(self, person: Person, status: str) -> Json:
        """Return the person's only message, once it has this status."""

        async def has_status() -> bool:
            return bool((await self.message(person))["status"] == status)

        await until(has_status)
        return await self.message(person)


def provider_settings(mail: Provider, texts: Provider) -> dict[str, str]:
    """Return the variables that name the two providers."""
    return {
        "EMAIL_API_KEY": SENDGRID_KEY,
        "SENDER_EMAIL": "pay@example.com",
        "SENDGRID_URL": mail.url,
        "FAST_2_SMS_KEY": FAST2SMS_KEY,
        "FAST_2_SMS_URL": texts.url,
    }


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def open_world(in_process: InProcess, store: Store) -> OpenWorld:
    """Start an API with other settings than `world` has; no other test's messages are in its outbox."""
    store.messages.delete_many({})

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[World]:
        clock = RunningClock()
        async with playing(sendgrid) as mail, playing(fast2sms) as texts:
            variables = provider_settings(mail, texts)
            given: dict[str, Any] = {name.lower(): value for name, value in variables.items()}
            async with in_process(clock=clock, **{**given, **settings}) as client:
                yield World(client, store, clock, mail, texts)

    return opened


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    async with open_world() as world:
        yield world


@pytest.fixture(scope="session")
def sandbox_url(sandbox_server: SandboxServer) -> str:
    """The address of this worker's sandbox, once it answers."""
    return sandbox_server.wait().url


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"
