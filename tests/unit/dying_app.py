"""An application whose process dies on request, or at its start while the file DYING exists."""

import os
from pathlib import Path

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] not in (ScopeType.HTTP, ScopeType.WEBSOCKET):
        await receive()
        if Path(os.environ["DYING"]).exists():  # noqa: ASYNC240 (nothing else runs here)
            os._exit(3)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/die":
        os._exit(4)
    if scope["path"] == "/raise":
        raise ValueError("as asked")
    body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": False})
