from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.errors import not_played
from kernapay.sandbox.json_http import json_response
from kernapay.sandbox.linked_account_views import (
    linked_account_view,
    product_view,
    stakeholder_view,
)
from kernapay.sandbox.rest.api_call import ApiCall
from kernapay.sandbox.trusted_hosts import OPEN
from kernapay.sandbox.views import collection


class LinkedAccountController(Controller):
    path = "/v2/accounts"
    opt = OPEN

    @post("/", status_code=200)
    async def create(self, api_call: NamedDependency[ApiCall]) -> Response[bytes]:
        account = api_call.sandbox.linked_accounts.create(api_call.owner, api_call.body())
        return json_response(linked_account_view(account))

    @get("/{account_id:str}")
    async def fetch(
        self, account_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        account = api_call.sandbox.linked_accounts.get(api_call.owner, account_id)
        return json_response(linked_account_view(account))

    @patch("/{account_id:str}")
    async def edit(
        self, account_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        account = accounts.edit(accounts.get(api_call.owner, account_id), api_call.body())
        return json_response(linked_account_view(account))

    @delete("/{account_id:str}", status_code=200)
    async def remove(
        self, account_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        api_call.sandbox.linked_accounts.get(api_call.owner, account_id)
        raise not_played("the removal of accounts, which the partner API has")

    @post("/{account_id:str}/stakeholders", status_code=200)
    async def add_stakeholder(
        self, account_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        account = accounts.get(api_call.owner, account_id)
        return json_response(stakeholder_view(accounts.add_stakeholder(account, api_call.body())))

    @get("/{account_id:str}/stakeholders")
    async def list_stakeholders(
        self, account_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        stakeholders = accounts.stakeholders(accounts.get(api_call.owner, account_id))
        return json_response(collection(map(stakeholder_view, stakeholders)))

    @get("/{account_id:str}/stakeholders/{stakeholder_id:str}")
    async def fetch_stakeholder(
        self,
        account_id: FromPath[str],
        stakeholder_id: FromPath[str],
        api_call: NamedDependency[ApiCall],
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        account = accounts.get(api_call.owner, account_id)
        return json_response(stakeholder_view(accounts.stakeholder(account, stakeholder_id)))

    @patch("/{account_id:str}/stakeholders/{stakeholder_id:str}")
    async def edit_stakeholder(
        self,
        account_id: FromPath[str],
        stakeholder_id: FromPath[str],
        api_call: NamedDependency[ApiCall],
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        account = accounts.get(api_call.owner, account_id)
        stakeholder = accounts.stakeholder(account, stakeholder_id)
        edited = accounts.edit_stakeholder(stakeholder, api_call.body())
        return json_response(stakeholder_view(edited))

    @post("/{account_id:str}/products", status_code=200)
    async def request_product(
        self, account_id: FromPath[str], api_call: NamedDependency[ApiCall]
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        account = accounts.get(api_call.owner, account_id)
        return json_response(product_view(accounts.request_product(account, api_call.body())))

    @get("/{account_id:str}/products/{product_id:str}")
    async def fetch_product(
        self,
        account_id: FromPath[str],
        product_id: FromPath[str],
        api_call: NamedDependency[ApiCall],
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        account = accounts.get(api_call.owner, account_id)
        return json_response(product_view(accounts.product(account, product_id)))

    @patch("/{account_id:str}/products/{product_id:str}")
    async def edit_product(
        self,
        account_id: FromPath[str],
        product_id: FromPath[str],
        api_call: NamedDependency[ApiCall],
    ) -> Response[bytes]:
        accounts = api_call.sandbox.linked_accounts
        product = accounts.product(accounts.get(api_call.owner, account_id), product_id)
        return json_response(product_view(accounts.edit_product(product, api_call.body())))
