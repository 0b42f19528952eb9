"""HTTP for stored files."""

from typing import Annotated, Final

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import File

from kernapay.core.patterns import explain
from kernapay.files.base import FILE_NAME, FileStore, media_type
from kernapay.files.local import PATH, LinkRefused
from kernapay.security.authentication import PUBLIC
from kernapay.web.handlers import get
from kernapay.web.openapi.responses import problems

_SIGNATURE: Final = explain("^[0-9a-f]{64}$", "the signature from the link")


class FileController(Controller):
    """Public: the link's signature is the permission."""

    path = PATH
    tags = ["Files"]
    opt = {PUBLIC: True}
    security = [{}]

    @get("/{name:str}", media_type="application/octet-stream", responses=problems(LinkRefused))
    async def download(
        self,
        name: Annotated[
            str,
            PathParameter(
                pattern=FILE_NAME, max_length=64, description="The file's name, from the link."
            ),
        ],
        file_store: NamedDependency[FileStore],
        expires: Annotated[
            int,
            QueryParameter(
                ge=0, le=2**53, description="When the link expires, in Unix seconds; from the link."
            ),
        ],
        signature: Annotated[
            str, QueryParameter(pattern=_SIGNATURE, description="The signature from the link.")
        ],
    ) -> File:
        """Download a receipt or an export. Use the link from the answer that stored it."""
        path = file_store.path_of(name, expires, signature)
        return File(path=path, filename=name, media_type=media_type(name))
