"""Faults of the sandbox that a visitor of the demo shop can choose, each for the next payment.

The shop's pages may not control the sandbox, so they request a fault of this list here.
"""

import ssl
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from litestar import Router
from litestar.params import JSONBody
from msgspec import Struct

from kernapay.config.addresses import has_sandbox
from kernapay.config.settings import Settings
from kernapay.core.errors import Unavailable
from kernapay.security.authentication import PUBLIC
from kernapay.web.handlers import delete, get, post
from kernapay.web.headers import SHOP_PATH

if TYPE_CHECKING:
    import httpx

_FAULTS: Final = "/_sandbox/faults"
_TIMEOUT_SECONDS: Final = 5.0
_ORDERS: Final = ("POST", "/v1/orders")
_PAYMENTS: Final = ("GET", "/v1/payments/*")
# Of one payment that succeeds: authorised, captured, order paid.
_WEBHOOKS: Final = 3


class Trouble(StrEnum):
    SLOW = "slow"
    LOST = "lost"
    DOWN = "down"
    UNKNOWN = "unknown"
    WEBHOOK = "webhook"
    LATE = "late"
    MISMATCH = "mismatch"


def _fault(
    name: str,
    call: tuple[str, str] | None = None,
    *,
    times: int = 1,
    **options: float,
) -> dict[str, Any]:
    method, route = call or (None, None)
    return {"name": name, "times": times, "method": method, "route": route, "options": options}


_PLAYED: Final[Mapping[Trouble, tuple[dict[str, Any], ...]]] = {
    Trouble.SLOW: (_fault("delay", _ORDERS, seconds=5),),
    Trouble.LOST: (_fault("answer_lost", _ORDERS),),
    # More often than the page tries by itself.
    Trouble.DOWN: (_fault("server_error", _ORDERS, times=5),),
    Trouble.UNKNOWN: (
        _fault("bad_gateway_html", _PAYMENTS, times=2),
        _fault("webhook_delay", times=_WEBHOOKS, seconds=60),
    ),
    Trouble.WEBHOOK: (
        _fault("rate_limit", _PAYMENTS, times=12),
        _fault("webhook_delay", times=_WEBHOOKS, seconds=12),
    ),
    Trouble.LATE: (_fault("late_authorization", seconds=10),),
    Trouble.MISMATCH: (
        # What is paid may be more or less, by a fee or an offer. What the order says must not be.
        _fault("wrong_amount", _PAYMENTS),
        _fault("wrong_amount", ("GET", "/v1/orders/*")),
        _fault("webhook_drop", times=_WEBHOOKS),
    ),
}


class TroubleChosen(Struct, forbid_unknown_fields=True):
    name: Trouble


class Troubles(Struct):
    """The armed faults, which wait for a payment."""

    armed: list[Trouble]


def can_fail(settings: Settings) -> bool:
    """Return whether the shop's gateway is a sandbox that plays troubles."""
    return has_sandbox(settings) and not settings.is_production


def troubles_of(settings: Settings) -> Router:
    """Return a public router that arms faults in the sandbox of these settings."""
    gateway = _Faults(settings.razorpay_base_url)

    @get("/")
    async def show_troubles() -> Troubles:
        return Troubles(await gateway.armed())

    @post("/", status_code=200)
    async def arm(data: JSONBody[TroubleChosen]) -> Troubles:
        # One at a time: of several, nobody would know what came of which.
        await gateway.clear()
        await gateway.arm(data.name)
        return Troubles([data.name])

    @delete("/", status_code=200)
    async def clear() -> Troubles:
        await gateway.clear()
        return Troubles([])

    return Router(
        f"{SHOP_PATH}/troubles",
        route_handlers=[show_troubles, arm, clear],
        include_in_schema=False,
        opt={PUBLIC: True},
    )


class _Faults:
    """The faults of a sandbox, as far as they are troubles of the shop. Raises Unavailable without a sandbox."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def armed(self) -> list[Trouble]:
        """Return the troubles of which the first fault still waits for its call."""
        known = {_kind_of(each) for each in await self._list()}
        return [name for name, (first, *_) in _PLAYED.items() if _kind_of(first) in known]

    async def arm(self, name: Trouble) -> None:
        for fault in _PLAYED[name]:
            await self._call("POST", _FAULTS, fault)

    async def clear(self) -> None:
        ours = {_kind_of(each) for faults in _PLAYED.values() for each in faults}
        for fault in await self._list():
            if _kind_of(fault) in ours:
                await self._call("DELETE", f"{_FAULTS}/{fault['id']}")

    async def _list(self) -> list[dict[str, Any]]:
        answer = await self._call("GET", _FAULTS)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def _call(self, method: str, path: str, body: object = None) -> "httpx.Response":
        # It takes a tenth of a second to import, and nobody who does not try this needs it.
        import httpx

        # Without certificates: they take long to read, and the sandbox speaks HTTP.
        client = httpx.AsyncClient(
            base_url=self._url,
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )
        try:
            async with client:
                answer = await client.request(method, path, json=body)
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable("The sandbox does not answer, so nothing was changed.") from error
        return answer


def _kind_of(fault: Mapping[str, Any]) -> tuple[Any, ...]:
    return fault["name"], fault["route"], fault["method"]
