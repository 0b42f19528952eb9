"""The limits: what a server of the same parts can do that does the bare work of a route and nothing else.

`python -m tests.benchmarks.api.limits PORT` serves them as `kernapay serve` serves the API: one worker of Granian.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import bcrypt
import hiredis
import msgspec
from bson import ObjectId
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server.mp import MPServer
from jose import jwt
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath
from pymongo import MongoClient, WriteConcern

from kernapay.config.settings import Settings
from kernapay.core.gc import frozen_start
from kernapay.core.parent_watch import watch_parent
from tests.aliases import Json, Store
from tests.benchmarks.api.http_client import HOST

PAGE: Final = "0:10"
"""The cached page of a history that is read: that of `?count=10`."""
_PASSWORD: Final = b"correct horse battery"

T = TypeVar("T")


class RedisReader(asyncio.Protocol):
    """Send the reads of one turn of the event loop in one write, over one connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader()
        self._commands: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[list[Any]], int]] = deque()
        self._replies: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's does not derive from it.
        self._transport = cast(asyncio.WriteTransport, transport)

    def read(self, *addresses: tuple[str, str]) -> "asyncio.Future[list[Any]]":
        """Return fields of hashes."""
        if not self._commands:
            self._loop.call_soon(self._flush)
        self._commands += [_hget(*each) for each in addresses]
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append((future, len(addresses)))
        return future

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            self._replies.append(reply)
            future, size = self._waiting[0]
            if len(self._replies) == size:
                self._waiting.popleft()
                future.set_result(self._replies)
                self._replies = []

    def _flush(self) -> None:
        self._transport.write(b"".join(self._commands))
        self._commands = []


def _hget(key: str, field: str) -> bytes:
    return f"*3\r\n$4\r\nHGET\r\n${len(key)}\r\n{key}\r\n${len(field)}\r\n{field}\r\n".encode()


@lru_cache(10_000)
def _claims_of(token: str) -> tuple[str, str]:
    """Return the user and the session of a token. Its signature is checked once."""
    secret = os.environ["JWT_SECRET"]
    claims = jwt.decode(token, secret, algorithms=["HS256"], audience="kernapay-api")
    return claims["sub"], claims["sid"]


def _default(setting: str) -> int:
    return int(Settings.model_fields[setting].default)


class Limits:
    """The handlers with what they use. Pools of threads are as large as those of the API."""

    def __init__(self, database: Store) -> None:
        self.answers = 0
        self._payments = database["payments"]
        self._inserts = database.get_collection(
            "limit_inserts", write_concern=WriteConcern("majority", j=True)
        )
        self._threads = ThreadPoolExecutor(_default("mongo_threads"))
        self._hashing = ThreadPoolExecutor(_default("hashing_threads"))
        self._hash = bcrypt.hashpw(_PASSWORD, bcrypt.gensalt(_default("salt_rounds")))
        self._columns = {"_id": 0, "referenceId": 1, "status": 1, "amount": 1, "currency": 1}
        self._row: Json = {}

    async def connect(self) -> None:
        parts = urlsplit(os.environ["REDIS_URL"])
        loop = asyncio.get_running_loop()
        _, self._redis = await loop.create_connection(
            RedisReader, str(parts.hostname), int(parts.port or 6379)
        )

    async def _in(self, pool: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *arguments)

    def _done(self, body: bytes | None, status: int = 200) -> Response[bytes]:
        """Answer with the bytes, or with 500 if the work was not what it should have been."""
        if body is None:
            return Response(b"{}", media_type="application/json", status_code=500)
        self.answers += 1
        return Response(body, media_type="application/json", status_code=status)

    async def mini(self, authorization: str) -> Response[bytes]:
        user, session = _claims_of(authorization.removeprefix("Bearer "))
        profile, validity, page = await self._redis.read(
            (f"user:{user}", "value"),
            (f"session:{user}", session),
            (f"payment_history:{user}", PAGE),
        )
        return self._done(page if profile and validity else None)

    async def find_one(self, reference: str) -> Response[bytes]:
        where = {"referenceId": reference}
        row = await self._in(self._threads, self._payments.find_one, where, self._columns)
        # Its integers are those of BSON, which msgspec does not know.
        return self._done(msgspec.json.encode(row, enc_hook=int) if row else None)

    async def insert(self) -> Response[bytes]:
        if not self._row:
            # A document as large as a payment.
            self._row = await self._in(self._threads, lambda: self._payments.find_one() or {})
        row = {**self._row, "_id": ObjectId()}
        await self._in(self._threads, self._inserts.insert_one, row)
        return self._done(b'{"success":true}', 201)

    async def check_password(self) -> Response[bytes]:
        fits = await self._in(self._hashing, bcrypt.checkpw, _PASSWORD, self._hash)
        return self._done(b'{"success":true}' if fits else None)


def app() -> Litestar:
    """Return the application that Granian loads in its worker."""
    watch_parent()
    client: MongoClient[Json] = MongoClient(os.environ["MONGODB_URL"])
    limits = Limits(client.get_default_database())

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await limits.connect()
        with client:
            yield

    @get("/mini")
    async def mini(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await limits.mini(request.headers["authorization"])

    @get("/find_one/{reference:str}")
    async def find_one(reference: FromPath[str]) -> Response[bytes]:
        return await limits.find_one(reference)

    @post("/insert")
    async def insert() -> Response[bytes]:
        return await limits.insert()

    @get("/bcrypt")
    async def check_password() -> Response[bytes]:
        return await limits.check_password()

    @get("/answers")
    async def count() -> int:
        return limits.answers

    with frozen_start():
        return Litestar([mini, find_one, insert, check_password, count], lifespan=[lifespan])


if __name__ == "__main__":
    MPServer(
        "tests.benchmarks.api.limits:app",
        factory=True,
        address=HOST,
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        log_access=False,
        log_level=LogLevels.warning,
    ).serve()
