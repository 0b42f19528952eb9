"""HTTP for accounts."""

from typing import Any

from litestar import Controller, Request
from litestar.di import NamedDependency
from litestar.params import JSONBody

from kernapay.core.errors import NotFound
from kernapay.security.addresses import ClientAddresses
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import IsPerson, IsUnscoped, SignedIn
from kernapay.security.principal import Authenticated
from kernapay.security.rate_limits import RateLimited
from kernapay.users.dtos import ProfileUpdate, SignUp, UserView
from kernapay.users.repository import UserRepository
from kernapay.users.service import EmailTaken, UserService
from kernapay.web.handlers import get, post, put
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import EncodedJSON


class SignUpController(Controller):
    """Public: the caller has no account yet."""

    path = "/v1/api/users"
    tags = ["Users"]
    opt = {PUBLIC: True}
    security = [{}]

    @post(
        "/signup",
        guards=[RateLimited("signup")],
        response_description="The account was created.",
        responses=problems(EmailTaken),
    )
    async def sign_up(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[SignUp],
        user_service: NamedDependency[UserService],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> UserView:
        """Create an account. The e-mail address must not belong to another account.

        After several addresses that are taken the answer is 429, and `Retry-After` says how long to wait.
        """
        return await user_service.sign_up(data, client_addresses.of(request.scope))


class UserController(Controller):
    path = "/v1/api/users"
    tags = ["Users"]
    guards = [SignedIn()]

    @get("/profile", guards=[IsUnscoped()], responses=problems(NotFound))
    async def profile(
        self, request: Authenticated, user_repository: NamedDependency[UserRepository]
    ) -> EncodedJSON[UserView]:
        """Return the caller's profile."""
        profile = await user_repository.profile.encoded(request.auth, user_id=request.user.id)
        if profile is None:
            raise NotFound("This account no longer exists.")
        return EncodedJSON(profile)

    @put("/update", guards=[IsPerson()], responses=problems(NotFound))
    async def update(
        self,
        request: Authenticated,
        data: JSONBody[ProfileUpdate],
        user_service: NamedDependency[UserService],
    ) -> UserView:
        """Change the caller's profile. Omitted fields keep their values."""
        return await user_service.update(request.user, data)
