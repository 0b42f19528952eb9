"""Users, sessions, messages, one-time codes, administration, API keys and the customers of shops."""

from collections.abc import Callable, Mapping
from functools import cached_property

from kernapay.administration.repository import AccountRepository
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.apikeys.service import ApiKeyService
from kernapay.bootstrap.foundation import Foundation
from kernapay.core.keys import Sealer
from kernapay.customers.repository import CustomerRepository
from kernapay.customers.service import CustomerService
from kernapay.notifications import providers
from kernapay.notifications.outbox import Outbox
from kernapay.notifications.repository import MessageRepository
from kernapay.security.attempts import FailedAttempts
from kernapay.security.authentication import Authenticator
from kernapay.security.tokens import RefreshTokens
from kernapay.sessions.authentication import SessionAuthentication
from kernapay.sessions.opening import SessionOpener
from kernapay.sessions.repository import SessionRepository
from kernapay.sessions.second_factor.repository import SecondFactorRepository
from kernapay.sessions.second_factor.service import SecondFactors
from kernapay.sessions.service import SessionService
from kernapay.users.models import User
from kernapay.users.repository import UserRepository
from kernapay.users.service import UserService
from kernapay.verification.budget import CodeBudget
from kernapay.verification.codes import Codes
from kernapay.verification.repository import CodeRepository
from kernapay.verification.reset import PasswordResetService
from kernapay.verification.service import VerificationService


class Accounts(Foundation):
    @cached_property
    def user_repository(self) -> UserRepository:
        return UserRepository(self.mongo, self.cache, self._clock)

    @cached_property
    def user_service(self) -> UserService:
        return UserService(
            self.user_repository,
            self.password_hasher,
            FailedAttempts(
                self.rate_limiter, "taken_address", "Too many addresses that are taken."
            ),
            self.settings.signup_types,
            production=self.settings.is_production,
        )

    @cached_property
    def session_repository(self) -> SessionRepository:
        return SessionRepository(self.mongo, self.cache, self._clock)

    @cached_property
    def session_service(self) -> SessionService:
        return SessionService(
            self.session_repository,
            self.user_repository,
            self.password_hasher,
            self.password_attempts,
            self.second_factors,
            self.session_opener,
            self.refresh_tokens,
            self.settings.refresh_grace,
            self._clock,
            production=self.settings.is_production,
        )

    @cached_property
    def refresh_tokens(self) -> RefreshTokens:
        return RefreshTokens(self.settings.jwt_secrets)

    @cached_property
    def session_opener(self) -> SessionOpener:
        return SessionOpener(
            self.session_repository,
            self.user_repository,
            self.token_issuer,
            self.refresh_tokens,
            self.settings.refresh_expiry,
            self.settings.console_session,
            self._clock,
            self._more_claims,
        )

    @property
    def _more_claims(self) -> Callable[[User], Mapping[str, str]] | None:
        if self.settings.compat is None:
            return None
        from kernapay.compat.roles import claims_of  # imported here because few processes need it

        return claims_of

    @cached_property
    def session_authentication(self) -> SessionAuthentication:
        return SessionAuthentication(
            self.session_repository,
            self.user_repository,
            self.background,
            self.settings.console_idle,
            self.settings.console_proof,
            self._clock,
        )

    @cached_property
    def second_factor_repository(self) -> SecondFactorRepository:
        return SecondFactorRepository(self.mongo, self._clock)

    @cached_property
    def second_factors(self) -> SecondFactors:
        return SecondFactors(
            self.second_factor_repository,
            self.user_repository,
            FailedAttempts(self.rate_limiter, "wrong_code", "Too many wrong codes."),
            Sealer(self.settings.jwt_secrets, "second-factor"),
            Sealer(self.settings.jwt_secrets, "second-factor-challenge"),
            self.audit_log,
            self.hashing_pool,
            self.settings.merchant_name,
            self._clock,
        )

    @cached_property
    def message_repository(self) -> MessageRepository:
        return MessageRepository(self.mongo, self._clock)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(
            self.message_repository,
            Sealer(self.settings.jwt_secrets, "outbox"),
            providers.email(self.settings),
            providers.sms(self.settings),
            self._clock,
        )

    @cached_property
    def codes(self) -> Codes:
        repository = CodeRepository(self.mongo, self._clock)
        return Codes(repository, self.settings.jwt_secrets, self._clock)

    @cached_property
    def verification_service(self) -> VerificationService:
        return VerificationService(
            self.user_repository,
            self.codes,
            CodeBudget(self.rate_limiter),
            self.outbox,
            self.settings.sender_name,
        )

    @cached_property
    def password_reset_service(self) -> PasswordResetService:
        return PasswordResetService(
            self.user_repository,
            self.codes,
            CodeBudget(self.rate_limiter),
            self.outbox,
            self.password_hasher.hash,
            self.session_service.store_password,
            FailedAttempts(self.rate_limiter, "wrong_code", "Too many wrong codes."),
            self.password_attempts,
            self.settings.sender_name,
            self._clock,
            production=self.settings.is_production,
        )

    @cached_property
    def account_repository(self) -> AccountRepository:
        return AccountRepository(self.mongo, self.cache, self._clock)

    @cached_property
    def api_key_repository(self) -> ApiKeyRepository:
        return ApiKeyRepository(self.mongo, self.cache, self._clock)

    @cached_property
    def api_key_service(self) -> ApiKeyService:
        return ApiKeyService(
            self.api_key_repository,
            self.user_repository,
            self.audit_log,
            self.background,
            self._clock,
            live=self.settings.is_live,
        )

    @cached_property
    def customer_repository(self) -> CustomerRepository:
        return CustomerRepository(self.mongo, self._clock)

    @cached_property
    def customer_service(self) -> CustomerService:
        return CustomerService(
            self.customer_repository, self.audit_log, production=self.settings.is_production
        )

    @cached_property
    def authenticator(self) -> Authenticator:
        return Authenticator(
            self.token_issuer,
            self.session_authentication.authenticate,
            self.api_key_service.authenticate,
            self.session_authentication.authenticate_console,
        )
