"""The sandbox's own pages and scripts. Nothing of them comes from outside."""

from importlib.resources import files

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath

from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.rest.call import AnyRequest

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
ASSETS = {
    asset.name: asset.read_bytes()
    for asset in files("kernapay.sandbox").joinpath("static").iterdir()
    if asset.name.rpartition(".")[2] in TYPES
}
# Any page may frame the payment window; a merchant's logo may come from anywhere.
WINDOW_POLICY = "default-src 'self'; img-src * data:; frame-ancestors *"
WINDOW_PARTS = ("window", "window.css", "window.js", "instruments.js")
PAGE_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


class AssetController(Controller):
    @get("/")
    async def page(self) -> Response[bytes]:
        return asset("page.html", PAGE_POLICY)

    @get("/_sandbox/assets/{name:str}")
    async def page_part(self, name: FromPath[str]) -> Response[bytes]:
        return asset(name)

    @get("/v1/checkout.js")
    async def checkout(self, request: AnyRequest) -> Response[bytes]:
        """Give the script, which knows from here on where its sandbox is."""
        here = msgspec.json.encode(str(request.base_url).rstrip("/"))
        response = asset("checkout.js")
        response.content = response.content.replace(b'"__SANDBOX__"', here)
        return response

    @get([f"/checkout/{name}" for name in WINDOW_PARTS])
    async def window(self, request: AnyRequest) -> Response[bytes]:
        name = request.url.path.rpartition("/")[2]
        return asset(name if "." in name else f"{name}.html", WINDOW_POLICY)


def asset(name: str, policy: str | None = None) -> Response[bytes]:
    if name not in ASSETS:
        raise ControlError("There is nothing here.", 404)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if policy is not None:
        headers["Content-Security-Policy"] = policy
    media_type = f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    return Response(ASSETS[name], media_type=media_type, headers=headers)
