"""What KernaPay needs of a place for files: to put one there, and to lend a link to it."""

from datetime import timedelta
from pathlib import Path
from typing import IO, Final, Protocol, runtime_checkable

from msgspec import Struct

from kernapay.core.clock import Instant
from kernapay.core.patterns import explain

LINK_LIFETIME: Final = timedelta(minutes=5)
FILE_NAME: Final = explain(
    r"^(receipt|export)-[0-9a-f]{32}\.(pdf|csv)$", "the name of a stored file"
)
MEDIA_TYPES: Final = {"pdf": "application/pdf", "csv": "text/csv"}


class FileLink(Struct, rename="camel"):
    """Whoever has the link may read the file until `expiresAt`. A link that starts with `/` leads to this API."""

    name: str
    url: str
    expires_at: Instant


@runtime_checkable  # the framework asks, before it injects one
class FileStore(Protocol):
    """Private files under names that nobody can guess. Every call may raise Unavailable."""

    async def put(self, name: str, content: IO[bytes]) -> None: ...

    async def link(self, name: str) -> FileLink: ...

    def path_of(self, name: str, expires: int, signature: str) -> Path:
        """Give the file behind a link of ours. Raises LinkRefused, NotFound."""

    async def check(self) -> str:
        """Make sure that files can be kept; a few words about where."""


def media_type(name: str) -> str:
    return MEDIA_TYPES[name.rpartition(".")[2]]
