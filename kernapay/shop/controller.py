"""The demo shop. Its pages are the same files for everybody, and use the public API as any shop's pages would."""

from pathlib import Path
from typing import Final

from litestar import Response, Router
from litestar.enums import MediaType
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from kernapay.config.addresses import checkout_script
from kernapay.config.settings import Settings
from kernapay.payments.currencies import exponent
from kernapay.security.authentication import PUBLIC
from kernapay.shop.troubles import can_fail, troubles_of
from kernapay.web.handlers import get
from kernapay.web.headers import SHOP_PATH
from kernapay.web.static_files import static_files

_FILES: Final = Path(__file__).parent / "static"
# What the three goods cost where the service type has no price, in minor units.
_PRICES: Final = (49_900, 125_000, 999_900)


class ShopConfig(Struct, rename="camel"):
    """The configuration of the shop's pages. `prices` are in minor units. With `canFail`, they offer faults."""

    key: str
    script: str
    name: str
    service_type: str
    metadata: dict[str, str]
    currency: str
    decimals: int
    prices: list[int]
    can_fail: bool


def _configure(settings: Settings) -> ShopConfig:
    types = settings.service_types
    name = min(types, key=lambda each: len(types[each].required))
    sold = types[name]
    lowest, highest = sold.min_amount or 1, sold.max_amount or settings.max_amount
    currency = sold.currency or settings.currencies[0]
    return ShopConfig(
        key=settings.razorpay_key_id,
        script=checkout_script(settings),
        name=settings.merchant_name,
        service_type=name,
        metadata=dict.fromkeys(sold.required, "demo"),
        currency=currency,
        decimals=exponent(currency),
        prices=[sold.amount or min(max(price, lowest), highest) for price in _PRICES],
        can_fail=can_fail(settings),
    )


def is_open(settings: Settings) -> bool:
    """Return whether the shop is served: never with a live key, and in production only if enabled."""
    wanted = settings.demo_shop
    return not settings.is_live and (not settings.is_production if wanted is None else wanted)


def shop_pages(settings: Settings) -> list[ControllerRouterHandler]:
    """Return public routers for the pages, their files and what they have to know; none where the shop is closed."""
    if not is_open(settings):
        return []
    page = (_FILES / "index.html").read_bytes()
    config = _configure(settings)

    def show() -> Response[bytes]:
        return Response(page, media_type=MediaType.HTML, headers={"Cache-Control": "no-store"})

    @get("/")
    async def home() -> Response[bytes]:
        return show()

    # The page itself says so where it has nothing at an address.
    @get("/{rest:path}")
    async def place(rest: FromPath[str]) -> Response[bytes]:
        return show()

    @get("/config")
    async def configuration() -> ShopConfig:
        return config

    pages = Router(
        SHOP_PATH,
        route_handlers=[home, place, configuration],
        include_in_schema=False,
        opt={PUBLIC: True},
    )
    troubles = [troubles_of(settings)] if can_fail(settings) else []
    return [pages, static_files(f"{SHOP_PATH}/assets", _FILES), *troubles]
