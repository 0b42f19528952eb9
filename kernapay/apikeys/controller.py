"""HTTP for API keys."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.apikeys.dtos import ApiKeyCreate, ApiKeyCreated, ApiKeyPage, ApiKeyView
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.apikeys.service import ApiKeyService, KeyEnded
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.security.guards import HasFreshProof, HasRole, IsPerson
from kernapay.security.principal import Authenticated, Role
from kernapay.web.handlers import delete, get, post
from kernapay.web.openapi.responses import problems

KeyId = Annotated[str, PathParameter(pattern=OBJECT_ID_PATTERN)]


class ApiKeyController(Controller):
    """For people only: with a leaked key, nobody must be able to create further keys."""

    path = "/v1/api/admin/api-keys"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsPerson()]

    @post(guards=[HasFreshProof()], responses=problems(KeyEnded))
    async def create_key(
        self,
        request: Authenticated,
        data: JSONBody[ApiKeyCreate],
        api_key_service: NamedDependency[ApiKeyService],
    ) -> ApiKeyCreated:
        """Create an API key for a back end. Only this answer contains the key.

        `scopes` say what it may do. A key without them may do all that its role may.
        """
        return await api_key_service.create(request.user, data)

    @get()
    async def list_keys(
        self,
        api_key_repository: NamedDependency[ApiKeyRepository],
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> ApiKeyPage:
        """List the API keys: name, account, role, scopes, who made each, and last use, but not the keys themselves."""
        keys, total = await api_key_repository.page(count, skip)
        return ApiKeyPage(total, list(keys))

    @post(
        "/{key_id:str}/adopt",
        guards=[HasFreshProof()],
        status_code=200,
        responses=problems(KeyEnded),
    )
    async def adopt_key(
        self,
        request: Authenticated,
        key_id: KeyId,
        api_key_service: NamedDependency[ApiKeyService],
    ) -> ApiKeyView:
        """Vouch for an API key of another administrator.

        A key ends when its maker stops being an administrator, unless another one has adopted it before.
        """
        return await api_key_service.adopt(request.user, key_id)

    @delete("/{key_id:str}", status_code=200)
    async def revoke_key(
        self,
        request: Authenticated,
        key_id: KeyId,
        api_key_service: NamedDependency[ApiKeyService],
    ) -> ApiKeyView:
        """Revoke an API key. It stops working at once."""
        return await api_key_service.revoke(request.user, key_id)
