"""HTTP for verified contacts and forgotten passwords."""

from typing import Any

from litestar import Controller, Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import JSONBody

from kernapay.core.errors import Conflict
from kernapay.notifications.outbox import NoProvider, Outbox
from kernapay.security.addresses import ClientAddresses
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import IsPerson, SignedIn
from kernapay.security.principal import Authenticated
from kernapay.security.rate_limits import RateLimited
from kernapay.users.dtos import UserView
from kernapay.verification.codes import TooSoon, WrongCode
from kernapay.verification.dtos import CodeConfirm, CodeSent, PasswordForgot, PasswordReset
from kernapay.verification.reset import PasswordResetService
from kernapay.verification.service import AlreadyVerified, Unreachable, VerificationService
from kernapay.web.handlers import post
from kernapay.web.openapi.responses import problems
from kernapay.web.responses import Message


class VerificationController(Controller):
    path = "/v1/api/verification"
    tags = ["Verification"]
    guards = [SignedIn(), IsPerson(), RateLimited("codes")]

    @post(
        "/email/request",
        status_code=202,
        responses=problems(AlreadyVerified, TooSoon, NoProvider),
    )
    async def request_email(
        self,
        request: Authenticated,
        verification_service: NamedDependency[VerificationService],
        client_addresses: NamedDependency[ClientAddresses],
        outbox: NamedDependency[Outbox],
    ) -> Response[CodeSent]:
        """Send a six-digit code to the caller's e-mail address.

        It is valid for ten minutes and five attempts, and replaces the one before. The next code can be requested
        after 60 seconds.
        """
        sent = await verification_service.request_email(
            request.user, client_addresses.of(request.scope)
        )
        return Response(sent, status_code=202, background=BackgroundTask(outbox.nudge))

    @post("/email/confirm", status_code=200, responses=problems(WrongCode, AlreadyVerified))
    async def confirm_email(
        self,
        request: Authenticated,
        data: JSONBody[CodeConfirm],
        verification_service: NamedDependency[VerificationService],
    ) -> UserView:
        """Confirm the e-mail address with the code that was sent to it."""
        return await verification_service.confirm_email(request.user, data.code)

    @post(
        "/mobile/request",
        status_code=202,
        responses=problems(AlreadyVerified, Unreachable, TooSoon, NoProvider),
    )
    async def request_mobile(
        self,
        request: Authenticated,
        verification_service: NamedDependency[VerificationService],
        client_addresses: NamedDependency[ClientAddresses],
        outbox: NamedDependency[Outbox],
    ) -> Response[CodeSent]:
        """Send a six-digit code to the caller's mobile number, as a text message.

        The same rules apply as for e-mail. Changing the number makes the code invalid.
        """
        sent = await verification_service.request_mobile(
            request.user, client_addresses.of(request.scope)
        )
        return Response(sent, status_code=202, background=BackgroundTask(outbox.nudge))

    @post("/mobile/confirm", status_code=200, responses=problems(WrongCode, AlreadyVerified))
    async def confirm_mobile(
        self,
        request: Authenticated,
        data: JSONBody[CodeConfirm],
        verification_service: NamedDependency[VerificationService],
    ) -> UserView:
        """Confirm the mobile number with the code that was sent to it."""
        return await verification_service.confirm_mobile(request.user, data.code)


class PasswordController(Controller):
    """Public: somebody who forgot their password cannot sign in."""

    path = "/v1/api/users/password"
    tags = ["Users"]
    opt = {PUBLIC: True}
    guards = [RateLimited("codes")]
    security = [{}]

    @post("/forgot", status_code=202, responses=problems(NoProvider))
    async def forgot(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[PasswordForgot],
        password_reset_service: NamedDependency[PasswordResetService],
        client_addresses: NamedDependency[ClientAddresses],
        outbox: NamedDependency[Outbox],
    ) -> Response[Message]:
        """Send a code for a new password. The answer is the same whether the address has an account or not.

        The code has twelve digits and is valid for an hour, also when another one is requested. No code is sent within
        60 seconds of the last one, nor after three in an hour: one of those is still valid then.
        """
        await password_reset_service.forgot(data.email, client_addresses.of(request.scope))
        return Response(
            Message("If this address has an account, a code is on its way."),
            status_code=202,
            background=BackgroundTask(outbox.nudge),
        )

    @post("/reset", status_code=200, responses=problems(WrongCode, Conflict))
    async def reset(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[PasswordReset],
        password_reset_service: NamedDependency[PasswordResetService],
        client_addresses: NamedDependency[ClientAddresses],
        outbox: NamedDependency[Outbox],
    ) -> Response[Message]:
        """Set a new password with the code that was sent. Every device is signed out.

        After too many wrong codes the answer is 429, and `Retry-After` says how long to wait.
        """
        await password_reset_service.reset(data, client_addresses.of(request.scope))
        return Response(
            Message("The password was changed. Sign in with the new one."),
            background=BackgroundTask(outbox.nudge),
        )
