from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.fields import Page
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.link_views import link_view
from kernapay.sandbox.resources import paginate
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN


class PaymentLinkController(Controller):
    path = "/v1/payment_links"
    opt = OPEN

    @post("/", status_code=200)
    async def create(
        self, request: AnyRequest, api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        links = api_call.sandbox.payment_links
        link = links.create(api_call.owner, api_call.body(), str(request.base_url))
        return json_response(link_view(link))

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        """Return a page of the links. Razorpay: not as a collection, as other lists are."""
        query = api_call.query()
        page = Page.from_query(query)
        links = api_call.sandbox.payment_links.find_by(api_call.owner, query)
        query.reject_unread()
        shown = paginate(links[::-1], page)
        return json_response({"payment_links": [link_view(link) for link in shown]})

    @get("/{link_id:str}")
    async def fetch(
        self, link_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        link = api_call.sandbox.payment_links.get(api_call.owner, link_id)
        return json_response(link_view(link))

    @patch("/{link_id:str}")
    async def edit(
        self, link_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        link = api_call.sandbox.payment_links.get(api_call.owner, link_id)
        return json_response(link_view(api_call.sandbox.payment_links.edit(link, api_call.body())))

    @post("/{link_id:str}/cancel", status_code=200)
    async def cancel(
        self, link_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        link = api_call.sandbox.payment_links.get(api_call.owner, link_id)
        return json_response(link_view(api_call.sandbox.payment_links.cancel(link)))

    @post("/{link_id:str}/notify_by/{medium:str}", status_code=200)
    async def notify(
        self, link_id: FromPath[str], medium: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        link = api_call.sandbox.payment_links.get(api_call.owner, link_id)
        api_call.sandbox.payment_links.notify(link, medium)
        return json_response({"success": True})
