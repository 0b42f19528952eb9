"""HTTP to hosts that we do not trust: one deadline for the whole call, bounded answers, no way into our networks.

aiohttp asks `socket_factory` for each address that it is about to connect to, so the address that is judged is the one
that is used. It asks the resolver only for names, so judging there alone would let addresses in URLs through.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kernapay.deliveries.addresses import Target, is_public, parse_address
from kernapay.deliveries.connections import IDLE_SECONDS, LONGEST_SECONDS, Request, send_again

_LOOKUP_THREADS: Final = 8
# A name server that does not answer keeps its thread. More threads per host would leave none for other hosts.
_LOOKUPS_PER_HOST: Final = 2
_CONNECT_SECONDS: Final = 5.0
_LONGEST_HEADER: Final = 8190
EXCERPT_BYTES: Final = 1024

AddressInfo = tuple[Any, ...]
Resolve = Callable[[str, int], list[AddressInfo]]


class AddressRefused(OSError):
    """The host is at an address that events are not sent to."""


class NoAnswer(Exception):
    """There was no answer, or none that is HTTP. The text is for the owner of the endpoint."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered: the status, the wish to wait as it was written, and the first kilobyte."""

    code: int
    retry_after: str | None
    excerpt: bytes


def _getaddrinfo(host: str, port: int) -> list[AddressInfo]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Resolver(AbstractResolver):
    """Resolve host names in a thread pool of its own."""

    def __init__(self, resolve: Resolve = _getaddrinfo) -> None:
        self._resolve = resolve
        self._pool = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="kernapay-lookups")
        self._running: Counter[str] = Counter()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError."""
        if self._running[host] >= _LOOKUPS_PER_HOST:
            raise OSError(errno.EAGAIN, "earlier look-ups of this name have not ended")
        self._running[host] += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._resolve, host, port)
        # It counts until its thread ends, also when its caller has given up.
        future.add_done_callback(lambda ended: self._release(host, ended))
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for family, _, protocol, _, address in await asyncio.shield(future)
        ]

    def _release(self, host: str, ended: "asyncio.Future[Any]") -> None:
        self._running[host] -= 1
        if not self._running[host]:
            del self._running[host]
        if not ended.cancelled():
            ended.exception()  # its caller may be gone, and nobody else would look at it

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _open_public(info: AddressInfo) -> socket.socket:
    """Open the socket for an address. Raises AddressRefused if it is not public."""
    family, kind, protocol, _, place = info
    address = parse_address(str(place[0]))
    if address is None or not is_public(address):
        raise AddressRefused(errno.EACCES, "the address is not public")
    return socket.socket(family, kind, protocol)


class Transport:
    """Send requests. Keeps a connection for the next one to the same URL, for a moment."""

    def __init__(
        self,
        *,
        connections: int,
        seconds: float,
        resolve: Resolve = _getaddrinfo,
        context: ssl.SSLContext | None = None,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        """Keep no connection open for more than the `longest` time, in seconds."""
        self._connections = connections
        self._seconds = seconds
        self._resolver = Resolver(resolve)
        self._context = context
        self._middlewares = (send_again(longest),)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post the body and return the answer. Raises NoAnswer."""
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._session(is_allowed=target.is_allowed).post(
                    URL(target.url, encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                excerpt = await _beginning(response)
                return Answer(response.status, response.headers.get("retry-after"), excerpt)
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {self._seconds:g} seconds") from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise NoAnswer(_explain(error)) from error

    async def find_private(self, target: Target) -> bool:
        """Return whether a name leads to an address that is not public. One that cannot be resolved does not."""
        if target.is_allowed or parse_address(target.host) is not None:
            return False
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                found = await self._resolver.resolve(target.host, target.port)
        except (OSError, ValueError):  # of a timeout too: it is not there, or not yet
            return False
        addresses = (parse_address(each["host"]) for each in found)
        return not all(address is not None and is_public(address) for address in addresses)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        await self._resolver.close()

    def _session(self, *, is_allowed: bool) -> aiohttp.ClientSession:
        if is_allowed not in self._sessions:
            self._sessions[is_allowed] = self._open(is_allowed=is_allowed)
        return self._sessions[is_allowed]

    def _open(self, *, is_allowed: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver,
                socket_factory=None if is_allowed else _open_public,
                use_dns_cache=False,
                keepalive_timeout=IDLE_SECONDS,
                limit=self._connections,
                ssl=self._context or ssl.create_default_context(),
            ),
            timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=_CONNECT_SECONDS),
            request_class=Request,
            middlewares=self._middlewares,
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is read is bounded before it is unpacked, and never is.
            auto_decompress=False,
            trust_env=False,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            skip_auto_headers=("Accept",),
        )


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the first kilobyte of an answer, and close its connection if there is more to come."""
    found = b""
    try:
        async for chunk in response.content.iter_any():
            found += chunk
            if len(found) > EXCERPT_BYTES:
                break
    except aiohttp.ClientError:
        pass  # it broke off, but the status has come
    if not response.content.at_eof():
        response.close()
    return found[:EXCERPT_BYTES]


def _explain(error: Exception) -> str:
    """Return why there is no answer, without any text of the other side."""
    if _is_caused_by(error, AddressRefused):
        return "the host is at an address of a private network, which events are not sent to"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the name of the host cannot be resolved"
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as cause
        ):
            return f"the certificate is not valid: {cause.verify_message}"
        case aiohttp.ClientSSLError():
            return "the TLS handshake failed"
        case aiohttp.ClientConnectorError():
            return "no connection could be made"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return "the connection was closed without an answer"
    return "the answer is not HTTP, or its headers are too long"


def _is_caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = getattr(error, "os_error", None) or error.__cause__
    return False
