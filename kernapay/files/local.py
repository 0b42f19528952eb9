"""Files in a folder of this machine, with links to this API that we sign."""

import hashlib
import hmac
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import time
from typing import IO, Final

import structlog

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Forbidden, NotFound, Unavailable
from kernapay.core.keys import derive_key
from kernapay.files.base import FILE_NAME, LINK_LIFETIME, FileLink

_log = structlog.get_logger("kernapay.files")

PATH: Final = "/v1/api/files"
# Files contain personal data and can be created again; links expire after minutes. So a day is enough.
_RETENTION: Final = timedelta(days=1)
_CLEANUP_INTERVAL: Final = timedelta(minutes=10)
_OWN_FILES: Final = rf"{FILE_NAME}|\.[0-9a-f]{{16}}\.part"


class LinkRefused(Forbidden):
    """The link was changed, or has expired. Request a new one."""

    code = "link_refused"
    title = "Link refused"


class LocalFiles:
    """Store files in a folder.

    Links are signed with a key derived from the first secret, and accepted with those of all secrets, so that secrets
    can be rotated.
    """

    def __init__(
        self, folder: Path, secrets: Sequence[str], pool: Bulkhead, clock: Clock = now
    ) -> None:
        self._folder = folder
        self._keys = [derive_key(secret, "files") for secret in secrets]
        self._pool = pool
        self._clock = clock
        self._next_cleanup = 0.0

    async def put(self, name: str, content: IO[bytes]) -> None:
        await self._pool.run(self._put, name, content)

    async def delete(self, name: str) -> None:
        await self._pool.run(self._delete, name)

    async def link(self, name: str) -> FileLink:
        expires_at = (self._clock() + LINK_LIFETIME).replace(microsecond=0)
        expires = int(expires_at.timestamp())
        signature = self._sign(self._keys[0], name, expires)
        return FileLink(name, f"{PATH}/{name}?expires={expires}&signature={signature}", expires_at)

    def path_of(self, name: str, expires: int, signature: str) -> Path:
        matches = [
            hmac.compare_digest(self._sign(key, name, expires).encode(), signature.encode())
            for key in self._keys
        ]
        if not any(matches) or expires <= self._clock().timestamp():
            raise LinkRefused("The link is not valid, or has expired. Request a new one.")
        # The signature covers the name. Still check the name itself before it becomes a path.
        path = self._folder / name
        if not re.fullmatch(FILE_NAME, name) or not path.is_file():
            raise NotFound("This file no longer exists. Create it again.")
        return path

    async def check(self) -> str:
        await self._pool.run(self._check)
        return f"the folder {self._folder.resolve()} of this machine"

    def _put(self, name: str, content: IO[bytes]) -> None:
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                shutil.copyfileobj(content, file)
            part.replace(self._folder / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise Unavailable("The file cannot be stored now. Try again later.") from error
        if time() >= self._next_cleanup:
            self._next_cleanup = time() + _CLEANUP_INTERVAL.total_seconds()
            self._delete_old()

    def _delete(self, name: str) -> None:
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable("The file cannot be deleted now. Try again later.") from error

    def _delete_old(self) -> None:
        """Delete our files that are past their retention. Other files in the folder stay."""
        oldest = time() - _RETENTION.total_seconds()
        try:
            for path in self._folder.iterdir():
                if re.fullmatch(_OWN_FILES, path.name):
                    with suppress(FileNotFoundError):  # another process deletes them too
                        if path.stat().st_mtime < oldest:
                            path.unlink()
        except OSError as error:
            # Log only: the new file is stored, so the request has succeeded.
            _log.warning(
                "old_files_kept",
                error=error.strerror,
                fix="let the service delete files in FILES_DIR",
            )

    def _check(self) -> None:
        # A check must not create the folder; the first file does. So look at the nearest one that exists.
        place = next(p for p in (self._folder, *self._folder.parents) if os.path.lexists(p))
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            raise Unavailable(f"{place} is not a folder that this process can write to.")

    def _sign(self, key: bytes, name: str, expires: int) -> str:
        return hmac.digest(key, f"{name}\n{expires}".encode(), hashlib.sha256).hex()
