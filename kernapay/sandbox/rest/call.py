"""What every REST handler begins and ends with."""

from typing import Any

import msgspec
from litestar import Request, Response

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.rest.account import authenticate

AnyRequest = Request[Any, Any, Any]


class Call(msgspec.Struct, frozen=True):
    """A request of a known key pair, its fields not looked at yet."""

    sandbox: Sandbox
    owner: str
    raw_query: bytes
    raw_body: bytes
    content_type: str
    refund_key: str | None

    def body(self) -> Fields:
        return Fields.of_body(self.raw_body, self.content_type)

    def query(self) -> Fields:
        return Fields.of_query(self.raw_query)

    def page(self) -> Page:
        """Return the page asked for, where nothing else may be asked."""
        query = self.query()
        page = Page.of(query)
        query.done()
        return page

    def expand(self, *known: str) -> frozenset[str]:
        """Return what is to be expanded, where nothing else may be asked."""
        query = self.query()
        wanted = query.expand(*known)
        query.done()
        return wanted


async def provide_call(sandbox: Sandbox, request: AnyRequest) -> Call:
    """Raise RazorpayError unless the request names a known key pair."""
    headers = request.headers
    return Call(
        sandbox=sandbox,
        owner=authenticate(sandbox.config, headers.get("authorization", "")),
        raw_query=request.scope["query_string"],
        raw_body=await request.body(),
        content_type=headers.get("content-type", ""),
        refund_key=headers.get("x-refund-idempotency"),
    )


def answer(view: Any, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(view), status_code=status, media_type="application/json")
