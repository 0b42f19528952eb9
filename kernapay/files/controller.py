"""HTTP for stored files."""

from typing import Annotated, Final

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import File

from kernapay.core.patterns import explain
from kernapay.files.base import FILE_NAME, FileStore, media_type
from kernapay.files.local import PATH, LinkRefused
from kernapay.security.authentication import PUBLIC
from kernapay.web.openapi.responses import problems

_SIGNATURE: Final = explain("^[0-9a-f]{64}$", "the signature that the link has")


class FileController(Controller):
    """Public: the link's signature is the proof."""

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
                pattern=FILE_NAME, max_length=64, description="The file, as its link names it."
            ),
        ],
        file_store: NamedDependency[FileStore],
        expires: Annotated[
            int, QueryParameter(ge=0, le=2**53, description="When the link ends, in Unix seconds.")
        ],
        signature: Annotated[
            str, QueryParameter(pattern=_SIGNATURE, description="As the link has it.")
        ],
    ) -> File:
        """Download a file by the link that a receipt or an export was answered with."""
        path = file_store.path_of(name, expires, signature)
        return File(path=path, filename=name, media_type=media_type(name))
