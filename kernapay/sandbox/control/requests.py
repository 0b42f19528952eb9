from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.request_log import LoggedCall
from kernapay.sandbox.views import collection

DEFAULT_COUNT = 50


class RequestLogController(Controller):
    path = "/_sandbox/requests"

    @get("/")
    async def list(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        """Return the newest calls, of which `q` is a part of path, query or a body."""
        query = Fields.from_query(request.scope["query_string"])
        words, limit = query.text("q") or "", query.integer("count") or DEFAULT_COUNT
        query.reject_unread()
        found = (call for call in sandbox.request_log if has_words(call, words))
        return json_response(
            collection([call_view(c) for c, _ in zip(found, range(limit), strict=False)])
        )

    @get("/{call_id:str}")
    async def fetch(
        self, call_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        call = sandbox.request_log.get(call_id)
        if call is None:
            raise ControlError("The log no longer has this call.", 404)
        bodies = {"request_body": call.request_body, "response_body": call.response_body}
        return json_response({**call_view(call), **bodies})


def has_words(call: LoggedCall, words: str) -> bool:
    wanted = words.lower()
    parts = (call.path, call.query, call.request_body, call.response_body)
    return not wanted or any(wanted in part.lower() for part in parts)


def call_view(call: LoggedCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "at": call.at,
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "key_id": call.key_id,
        "content_type": call.header(b"content-type"),
        "idempotency_key": call.header(b"x-refund-idempotency"),
        "status": call.status,
        "milliseconds": call.milliseconds,
    }
