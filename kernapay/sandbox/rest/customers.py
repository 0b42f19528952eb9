from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import collection, customer_view


class CustomerController(Controller):
    path = "/v1/customers"
    opt = OPEN

    @post("/", status_code=200)
    async def create(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        customer = api_call.sandbox.customers.create(api_call.owner, api_call.body())
        return json_response(customer_view(customer))

    @get("/")
    async def list(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        page = api_call.page()
        customers = api_call.sandbox.customers.find(api_call.owner, page)
        return json_response(collection(map(customer_view, customers)))

    @get("/{customer_id:str}")
    async def fetch(
        self, customer_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        customer = api_call.sandbox.customers.get(api_call.owner, customer_id)
        return json_response(customer_view(customer))

    @put("/{customer_id:str}")
    async def edit(
        self, customer_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        customer = api_call.sandbox.customers.get(api_call.owner, customer_id)
        return json_response(
            customer_view(api_call.sandbox.customers.edit(customer, api_call.body()))
        )
