"""The authenticated request that every REST handler gets."""

import msgspec
from litestar.di import NamedDependency

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.fields import Fields, Page
from kernapay.sandbox.json_http import AnyRequest
from kernapay.sandbox.rest.authentication import authenticate


class ApiCall(msgspec.Struct, frozen=True):
    """A request with a valid key pair. `owner` is the account: its first key id."""

    sandbox: Sandbox
    owner: str
    raw_query: bytes
    raw_body: bytes
    content_type: str
    idempotency_key: str | None

    def body(self) -> Fields:
        return Fields.from_body(self.raw_body, self.content_type)

    def query(self) -> Fields:
        return Fields.from_query(self.raw_query)

    def page(self) -> Page:
        """Return the page of a query that has no other fields."""
        page, _ = self.page_and_expand()
        return page

    def expand(self, *allowed: str) -> frozenset[str]:
        """Return what to expand, of a query that has no other fields."""
        query = self.query()
        expand = query.expand(*allowed)
        query.reject_unread()
        return expand

    def page_and_expand(self, *allowed: str) -> tuple[Page, frozenset[str]]:
        """Return the page and what to expand, of a query that has no other fields."""
        query = self.query()
        page = Page.from_query(query)
        expand = query.expand(*allowed) if allowed else frozenset[str]()
        query.reject_unread()
        return page, expand


async def provide_api_call(sandbox: NamedDependency[Sandbox], request: AnyRequest) -> ApiCall:
    """Return the call. Raise RazorpayError unless it has a configured key pair."""
    headers = request.headers
    return ApiCall(
        sandbox=sandbox,
        owner=authenticate(
            sandbox.keyring, headers.get("authorization", ""), sandbox.config.bad_key_status
        ),
        raw_query=request.scope["query_string"],
        raw_body=await request.body(),
        content_type=headers.get("content-type", ""),
        idempotency_key=headers.get("x-refund-idempotency"),
    )
