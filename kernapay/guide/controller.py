"""The guide at `/guide`: public pages, and a search that needs no script."""

import asyncio
from typing import Annotated, Final

from litestar import Response, Router
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter

from kernapay.guide.contents import START
from kernapay.guide.layout import FILES, show_hits, show_page
from kernapay.guide.pages import DOCS, PICTURES, RUNBOOKS, names, read_page
from kernapay.guide.search import LONGEST, search
from kernapay.security.authentication import PUBLIC
from kernapay.web.handlers import get
from kernapay.web.headers import GUIDE_PATH
from kernapay.web.static_files import static_files

_CACHE_CONTROL: Final = {"Cache-Control": "no-cache"}
Question = Annotated[str, QueryParameter(max_length=LONGEST)]


def guide_pages() -> list[Router]:
    """Return public routers for the pages, the search, and the files of both."""
    known = frozenset(names())

    async def show(name: str) -> Response[bytes]:
        if name not in known:
            raise NotFoundException
        content = await asyncio.to_thread(lambda: show_page(read_page(name)))
        return Response(content, media_type=MediaType.HTML, headers=_CACHE_CONTROL)

    @get("/")
    async def home() -> Response[bytes]:
        return await show(START)

    @get("/{page:str}")
    async def page(page: FromPath[str]) -> Response[bytes]:
        return await show(page)

    @get(f"/{RUNBOOKS}/{{runbook:str}}")
    async def runbook(runbook: FromPath[str]) -> Response[bytes]:
        return await show(f"{RUNBOOKS}/{runbook}")

    @get("/search")
    async def find(q: Question = "") -> Response[bytes]:
        content = await asyncio.to_thread(lambda: show_hits(q, search(q)))
        return Response(content, media_type=MediaType.HTML, headers=_CACHE_CONTROL)

    pages = Router(
        GUIDE_PATH,
        route_handlers=[home, page, runbook, find],
        include_in_schema=False,
        opt={PUBLIC: True},
    )
    return [
        pages,
        static_files(f"{GUIDE_PATH}/{PICTURES}", DOCS / PICTURES),
        static_files(f"{GUIDE_PATH}/assets", FILES),
    ]
