"""HTTP for managing accounts."""

from datetime import datetime
from typing import Annotated, Final

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from kernapay.administration.dtos import NewUser, RoleChange, UserPage, UserSearch
from kernapay.administration.erasure.dtos import AccountErased
from kernapay.administration.erasure.service import AccountErasure, StillActive
from kernapay.administration.repository import AccountRepository
from kernapay.administration.service import (
    AccountIsErased,
    AddressNotVerified,
    AdministrationService,
    ChangedMeanwhile,
    LastAdmin,
    NotAProvider,
)
from kernapay.core.clock import in_utc
from kernapay.core.errors import NotFound
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.patterns import PRINTABLE
from kernapay.security.guards import HasFreshProof, HasRole, IsPerson, IsUnscoped
from kernapay.security.principal import Authenticated, Role
from kernapay.users.dtos import UserView
from kernapay.users.models import UserStatus
from kernapay.users.service import EmailTaken
from kernapay.web.handlers import get, post, put
from kernapay.web.openapi.responses import problems

UserId = Annotated[
    str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The account's `_id`.")
]

# They say who may do what, or erase.
_PROVEN: Final = [IsPerson(), HasFreshProof()]


class AdministrationController(Controller):
    """API keys may only read: with a leaked one, nobody must be able to open accounts or to change roles."""

    path = "/v1/api/admin/users"
    tags = ["Administration"]
    guards = [HasRole(Role.ADMIN), IsUnscoped()]

    @get()
    async def list_users(
        self,
        account_repository: NamedDependency[AccountRepository],
        search: Annotated[
            str | None,
            QueryParameter(
                min_length=1,
                max_length=100,
                pattern=PRINTABLE,
                description="The beginning of an e-mail address or of a name.",
            ),
        ] = None,
        user_type: Annotated[Role | None, QueryParameter(name="type")] = None,
        user_status: Annotated[UserStatus | None, QueryParameter(name="status")] = None,
        approved: Annotated[
            bool | None,
            QueryParameter(
                description="Only PROVIDER accounts that an administrator has approved, or those that wait for it."
            ),
        ] = None,
        created_before: Annotated[datetime | None, QueryParameter(name="createdBefore")] = None,
        created_after: Annotated[datetime | None, QueryParameter(name="createdAfter")] = None,
        count: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        skip: Annotated[int, QueryParameter(ge=0, le=10_000)] = 0,
    ) -> UserPage:
        """List accounts, newest first.

        `search` is the beginning of an e-mail address or of a name. `createdAfter` is inclusive, `createdBefore`
        is not.
        """
        criteria = UserSearch(
            search,
            user_type,
            user_status,
            approved,
            in_utc(created_before, "createdBefore"),
            in_utc(created_after, "createdAfter"),
        )
        users, total = await account_repository.search(criteria, count, skip)
        return UserPage(total, list(users))

    @post(guards=_PROVEN, responses=problems(EmailTaken))
    async def create_user(
        self,
        request: Authenticated,
        data: JSONBody[NewUser],
        administration_service: NamedDependency[AdministrationService],
    ) -> UserView:
        """Create an account for somebody else: a user, a provider or a lab assistant."""
        return await administration_service.create(request.user, data)

    @get("/{user_id:str}")
    async def show_user(
        self, user_id: UserId, account_repository: NamedDependency[AccountRepository]
    ) -> UserView:
        """Return one account."""
        profile = await account_repository.profile(user_id=user_id)
        if profile is None:
            raise NotFound("There is no account with this id.")
        return profile

    @post(
        "/{user_id:str}/activate",
        guards=_PROVEN,
        status_code=200,
        responses=problems(ChangedMeanwhile, AddressNotVerified, AccountIsErased),
    )
    async def activate(
        self,
        request: Authenticated,
        user_id: UserId,
        administration_service: NamedDependency[AdministrationService],
    ) -> UserView:
        """Activate an account. Its owner has to sign in again on every device. An active account does not change."""
        return await administration_service.set_status(request.user, user_id, UserStatus.ACTIVE)

    @post(
        "/{user_id:str}/deactivate",
        guards=_PROVEN,
        status_code=200,
        responses=problems(LastAdmin, ChangedMeanwhile, AccountIsErased),
    )
    async def deactivate(
        self,
        request: Authenticated,
        user_id: UserId,
        administration_service: NamedDependency[AdministrationService],
    ) -> UserView:
        """Deactivate an account. Its next request is refused, on every device, and its API keys end for good.

        So do the keys that it made as an administrator, unless another one has adopted them. The last active
        administrator cannot be deactivated.
        """
        return await administration_service.set_status(request.user, user_id, UserStatus.INACTIVE)

    @post(
        "/{user_id:str}/approve",
        guards=_PROVEN,
        status_code=200,
        responses=problems(NotAProvider, ChangedMeanwhile),
    )
    async def approve(
        self,
        request: Authenticated,
        user_id: UserId,
        administration_service: NamedDependency[AdministrationService],
    ) -> UserView:
        """Approve a PROVIDER account: from its next request on, it may refund what was paid to it.

        The approval ends when it is revoked, or when the account gets another role.
        """
        return await administration_service.set_approval(request.user, user_id, approved=True)

    @post(
        "/{user_id:str}/revoke-approval",
        guards=_PROVEN,
        status_code=200,
        responses=problems(ChangedMeanwhile),
    )
    async def revoke_approval(
        self,
        request: Authenticated,
        user_id: UserId,
        administration_service: NamedDependency[AdministrationService],
    ) -> UserView:
        """End the approval of a PROVIDER account: from its next request on, it moves no money.

        Refunds that were accepted before are still finished.
        """
        return await administration_service.set_approval(request.user, user_id, approved=False)

    @post(
        "/{user_id:str}/erase",
        guards=_PROVEN,
        status_code=200,
        responses=problems(StillActive),
    )
    async def erase_user(
        self,
        request: Authenticated,
        user_id: UserId,
        account_erasure: NamedDependency[AccountErasure],
    ) -> AccountErased:
        """Erase an inactive account: name, address, number and password go for good, and copies of them elsewhere.

        So do its endpoints. Its payments stay: `remains` says what is left, and why. A repeat finishes what an earlier
        call could not.
        """
        return await account_erasure.erase(request.user, user_id)

    @put(
        "/{user_id:str}/role",
        guards=_PROVEN,
        responses=problems(LastAdmin, ChangedMeanwhile, AddressNotVerified, AccountIsErased),
    )
    async def change_role(
        self,
        request: Authenticated,
        user_id: UserId,
        data: JSONBody[RoleChange],
        administration_service: NamedDependency[AdministrationService],
    ) -> UserView:
        """Change the role of an account, from its next request on.

        `ADMIN` and `LAB_ASSISTANT` are only for accounts with a verified e-mail address. A rise (in the order `USER`,
        `PROVIDER`, `LAB_ASSISTANT`, `ADMIN`) signs every device out and ends every API key of the account. API keys in
        a role that the account loses end for good, and so do those that it made as an administrator, unless another
        one has adopted them. The last active administrator cannot be given another role.
        """
        return await administration_service.set_role(request.user, user_id, data.role)
