"""The files of Swagger UI."""

from pathlib import Path
from typing import Final

from litestar import Router

from kernapay.web.headers import DOCS_PATH
from kernapay.web.static_files import static_files

ASSETS_PATH: Final = f"{DOCS_PATH}/assets"
_SWAGGER: Final = Path(__file__).parent / "static" / "swagger"


def assets() -> Router:
    return static_files(ASSETS_PATH, _SWAGGER)
