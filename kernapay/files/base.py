"""The protocol of a file store: store a file, and make a link to it that expires."""

from datetime import timedelta
from pathlib import Path
from typing import IO, Final, Protocol, runtime_checkable

from msgspec import Struct

from kernapay.core.clock import Instant
from kernapay.core.patterns import explain

LINK_LIFETIME: Final = timedelta(minutes=5)
FILE_NAME: Final = explain(
    r"^(receipt|export)-[0-9a-f]{32}\.(pdf|csv|jsonl|xlsx)$", "the name of a stored file"
)
MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class FileLink(Struct, rename="camel"):
    """A link to a file. Anyone who has it can read the file until `expiresAt`.

    A `url` that starts with `/` belongs to this API.
    """

    name: str
    url: str
    expires_at: Instant


@runtime_checkable  # Litestar checks the type of what it injects
class FileStore(Protocol):
    """Private files under names that nobody can guess. Every call may raise Unavailable."""

    async def put(self, name: str, content: IO[bytes]) -> None: ...

    async def delete(self, name: str) -> None:
        """Delete the file, if there is one."""

    async def link(self, name: str) -> FileLink:
        """Return a link that is valid for LINK_LIFETIME."""

    def path_of(self, name: str, expires: int, signature: str) -> Path:
        """Return the path of the file that a link to this API leads to. Raises LinkRefused, NotFound."""

    async def check(self) -> str:
        """Check that files can be stored, and return a short description of the place."""


def media_type(name: str) -> str:
    return MEDIA_TYPES[name.rpartition(".")[2]]
