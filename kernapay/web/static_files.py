"""Serve the files of our own pages, with 304 for a client that has them already."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router
from litestar.datastructures import ETag
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import File

from kernapay.security.authentication import PUBLIC
from kernapay.web.handlers import get

# The names have no version: ask each time whether the file is still the same.
_CACHE_CONTROL: Final = "no-cache"


@dataclass(frozen=True)
class Asset:
    """A file that does not change while the process runs."""

    path: Path
    media_type: str
    etag: str
    modified: datetime

    @classmethod
    def read(cls, path: Path) -> "Asset":
        # By content, so that every process and every machine has the same tag.
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        modified = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        return cls(path, guess_type(path)[0] or "application/octet-stream", digest, modified)

    def is_known_to(self, request: Request[Any, Any, Any]) -> bool:
        """Return whether the client has this file. The tag counts more than the time (RFC 9110, section 13.2.2)."""
        tags = request.headers.getall("if-none-match", [])
        if tags:
            known = {tag.strip().removeprefix("W/") for tag in ",".join(tags).split(",")}
            return not known.isdisjoint((f'"{self.etag}"', "*"))
        try:
            since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
        except (ValueError, OverflowError):
            return False
        return self.modified <= (since if since.tzinfo else since.replace(tzinfo=UTC))

    def answer(self, request: Request[Any, Any, Any]) -> Response[Any]:
        # Weak: the compressed file has the same tag.
        etag = ETag(value=self.etag, weak=True)
        headers = {
            "Cache-Control": _CACHE_CONTROL,
            "Last-Modified": format_datetime(self.modified, usegmt=True),
        }
        if self.is_known_to(request):
            return Response(None, status_code=304, headers={**headers, "ETag": etag.to_header()})
        return File(
            self.path,
            etag=etag,
            headers=headers,
            media_type=self.media_type,
            filename=self.path.name,
            content_disposition_type="inline",
        )


def static_files(path: str, folder: Path) -> Router:
    """Return a public router for the files of a folder. They are read once, at the start."""
    files = {each.name: Asset.read(each) for each in folder.iterdir() if each.is_file()}

    @get("/{name:str}")
    async def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        if name not in files:
            raise NotFoundException
        return files[name].answer(request)

    return Router(path, route_handlers=[asset], include_in_schema=False, opt={PUBLIC: True})
