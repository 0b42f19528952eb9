"""The console's pages: the same static files for everybody. All data comes from the API."""

import hashlib
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from kernapay.security.authentication import PUBLIC
from kernapay.web.handlers import get
from kernapay.web.headers import CONSOLE_PATH
from kernapay.web.static_files import Asset

_FILES: Final = Path(__file__).parent / "static"
_SERVED: Final = frozenset({".js", ".mjs", ".css", ".svg", ".woff2"})
# Set by the page itself. What is not chosen, or not known, is as the browser's system.
_THEME_COOKIE: Final = "kp_theme"
_THEMES: Final = ("", "light", "dark")
# Its name has the hash of all files, so what it holds never changes.
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


def console_pages() -> Router:
    """Return a public router for the page and its files. They are read once, at the start."""
    paths = sorted(path for path in _FILES.rglob("*") if path.suffix in _SERVED)
    files = {path.name: Asset.read(path) for path in paths}
    template = (_FILES / "index.html").read_text("utf-8")
    tags = "".join(f"{name} {file.etag}\n" for name, file in files.items()) + template
    current = hashlib.sha256(tags.encode()).hexdigest()[:16]
    template = template.replace("{assets}", f"{CONSOLE_PATH}/assets/{current}")
    pages = {theme: template.replace("{theme}", theme).encode() for theme in _THEMES}

    def show(request: Request[Any, Any, Any]) -> Response[bytes]:
        page = pages.get(request.cookies.get(_THEME_COOKIE, ""), pages[""])
        return Response(page, media_type=MediaType.HTML, headers={"Cache-Control": "no-store"})

    @get("/")
    async def home(request: Request[Any, Any, Any]) -> Response[bytes]:
        return show(request)

    # The page itself says so where it has nothing at an address.
    @get("/{rest:path}")
    async def place(request: Request[Any, Any, Any], rest: FromPath[str]) -> Response[bytes]:
        return show(request)

    @get("/assets/{version:str}/{name:str}")
    async def asset(
        request: Request[Any, Any, Any], version: FromPath[str], name: FromPath[str]
    ) -> Response[Any]:
        if name not in files:
            raise NotFoundException
        answer = files[name].answer(request)
        # A page from before an update asks for what is no longer under that name.
        if version == current:
            answer.headers["Cache-Control"] = _FOR_GOOD
        return answer

    return Router(
        CONSOLE_PATH,
        route_handlers=[home, place, asset],
        include_in_schema=False,
        opt={PUBLIC: True},
    )
