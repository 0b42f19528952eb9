"""The sandbox's pages and scripts. They load nothing from other servers."""

from importlib.resources import files

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath

from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.json_http import AnyRequest
from kernapay.sandbox.trusted_hosts import OPEN

MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
ASSETS = {
    asset.name: asset.read_bytes()
    for asset in files("kernapay.sandbox").joinpath("static").iterdir()
    if asset.name.rpartition(".")[2] in MEDIA_TYPES
}
# Any shop may frame the payment window, and its logo may come from any server.
WINDOW_POLICY = "default-src 'self'; img-src * data:; frame-ancestors *"
WINDOW_ASSETS = ("window", "window.css", "window.js", "instruments.js", "hosted.css", "hosted.js")
# In a frame of another site, clicks of its visitors could be led to the buttons of the page.
PAGE_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)


class AssetController(Controller):
    @get("/")
    async def show_page(self) -> Response[bytes]:
        return asset_response("page.html", PAGE_POLICY)

    @get("/_sandbox/assets/{name:str}")
    async def fetch_page_asset(self, name: FromPath[str]) -> Response[bytes]:
        return asset_response(name)

    @get("/v1/checkout.js", opt=OPEN)
    async def fetch_checkout_script(self, request: AnyRequest) -> Response[bytes]:
        """Return the script with the address at which the client reached the sandbox."""
        address = msgspec.json.encode(str(request.base_url).rstrip("/"))
        response = asset_response("checkout.js")
        response.content = response.content.replace(b'"__SANDBOX__"', address)
        return response

    @get([f"/checkout/{name}" for name in WINDOW_ASSETS], opt=OPEN)
    async def fetch_window_asset(self, request: AnyRequest) -> Response[bytes]:
        name = request.url.path.rpartition("/")[2]
        return asset_response(name if "." in name else f"{name}.html", WINDOW_POLICY)


def asset_response(name: str, policy: str | None = None) -> Response[bytes]:
    if name not in ASSETS:
        raise ControlError(f"There is no asset {name[:100]!r}.", 404)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if policy is not None:
        headers["Content-Security-Policy"] = policy
    media_type = f"{MEDIA_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    return Response(ASSETS[name], media_type=media_type, headers=headers)
