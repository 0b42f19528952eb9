"""What plugins and pages ask with the key id alone, and what the vendor's plugins report."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency

from kernapay.sandbox.account_entities import ApiKey
from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.errors import not_applicable
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.methods import methods_view, preferences_view
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.rest.authentication import read_key_id
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import order_view


class PublicController(Controller):
    path = "/v1"
    opt = OPEN

    @get("/methods")
    async def list_methods(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        require_key(request, sandbox)
        return json_response(methods_view())

    @get("/preferences")
    async def show_preferences(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Return the preferences of the key. Checkout sends many names more, of which only the order counts."""
        key = require_key(request, sandbox)
        order_id = Fields.from_query(request.scope["query_string"]).text("order_id")
        order = order_view(sandbox.orders.get(key.owner, order_id)) if order_id else None
        return json_response(preferences_view(key.id, order))


class PluginController(Controller):
    """WooCommerce's plugin asks which features its shop has. The sandbox has none of them, and keeps no statistics."""

    path = "/v1"
    opt = OPEN

    @get("/merchant/1cc_preferences")
    async def show_magic_preferences(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        return json_response(
            {"features": {"one_click_checkout": False, "one_cc_store_account": False}}
        )

    @get("/app/merchant/api/verify/{feature:int}/{mode:int}")
    async def show_feature(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        return json_response({"enabled": False})

    @get("/rtb")
    async def show_trusted_badge(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        return json_response({"widget_enabled": False})

    @post("/plugins/segment", status_code=200)
    async def collect(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        return json_response({"status": "success"})


def require_key(request: AnyRequest, sandbox: Sandbox) -> ApiKey:
    """Return the key of Basic authentication or of the query. Raise RazorpayError unless it works."""
    query = Fields.from_query(request.scope["query_string"])
    key_id = query.text("key_id") or read_key_id(request.headers.get("authorization", ""))
    key = sandbox.keyring.find(key_id)
    if key is None:
        raise not_applicable("The api key provided is invalid", sandbox.config.bad_key_status)
    return key
