"""HTTP for the second factor of the caller's own account."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from kernapay.core.errors import NotFound, Unauthenticated
from kernapay.security.addresses import ClientAddresses
from kernapay.security.guards import IsPerson, SignedIn
from kernapay.security.principal import Authenticated
from kernapay.security.rate_limits import RateLimited
from kernapay.sessions.second_factor.dtos import (
    RecoveryCodes,
    SecondFactorChallenge,
    SecondFactorConfirm,
    SecondFactorDisable,
    SecondFactorEnrol,
    SecondFactorState,
)
from kernapay.sessions.second_factor.service import (
    AlreadyEnrolled,
    SecondFactors,
    WrongSecondFactor,
)
from kernapay.sessions.service import SessionService
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import Message


class SecondFactorController(Controller):
    path = "/v1/api/users/second-factor"
    tags = ["Users"]
    guards = [SignedIn(), IsPerson()]

    @get()
    async def second_factor(
        self, request: Authenticated, second_factors: NamedDependency[SecondFactors]
    ) -> SecondFactorState:
        """Return whether you have a second factor, and how many recovery codes are left."""
        return await second_factors.state(request.user.id)

    @post(status_code=200, guards=[RateLimited("codes")], responses=problems(AlreadyEnrolled))
    async def enrol_second_factor(
        self,
        request: Authenticated,
        data: JSONBody[SecondFactorEnrol],
        session_service: NamedDependency[SessionService],
        second_factors: NamedDependency[SecondFactors],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> SecondFactorChallenge:
        """Begin with a second factor: get the key for an authenticator (TOTP, RFC 6238).

        Nothing changes until a code of it is confirmed.
        """
        user = await session_service.prove_password(
            request.user, data.current_password, client_addresses.of(request.scope)
        )
        return await second_factors.challenge(user)

    @post("/confirm", guards=[RateLimited("codes")], responses=problems(AlreadyEnrolled))
    async def confirm_second_factor(
        self,
        request: Authenticated,
        data: JSONBody[SecondFactorConfirm],
        second_factors: NamedDependency[SecondFactors],
    ) -> RecoveryCodes:
        """Confirm the authenticator with a first code. From now on, every sign-in needs one.

        The answer has ten recovery codes, for when the authenticator is lost. Each works once.
        """
        return RecoveryCodes(await second_factors.confirm(request.user, data))

    @post(
        "/disable",
        status_code=200,
        guards=[RateLimited("codes")],
        responses=problems(NotFound, Unauthenticated, WrongSecondFactor),
    )
    async def disable_second_factor(
        self,
        request: Authenticated,
        data: JSONBody[SecondFactorDisable],
        session_service: NamedDependency[SessionService],
        second_factors: NamedDependency[SecondFactors],
        client_addresses: NamedDependency[ClientAddresses],
    ) -> Message:
        """Remove your second factor, with a code of it or a recovery code. Its recovery codes stop working."""
        await session_service.prove_password(
            request.user, data.current_password, client_addresses.of(request.scope)
        )
        await second_factors.disable(request.user, data.code)
        return Message("The second factor is removed.")
