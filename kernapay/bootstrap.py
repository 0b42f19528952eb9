"""The whole object graph, by hand, on one screen."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields

from litestar.di import Provide

from kernapay.administration.repository import RosterRepository
from kernapay.administration.service import AdministrationService
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.apikeys.service import ApiKeyService
from kernapay.audit.repository import AuditLog
from kernapay.core import logs
from kernapay.core.background import Background
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.cache import Cache
from kernapay.core.clock import Clock, now
from kernapay.core.drops import MongoPendingDrops
from kernapay.core.keys import Sealer, derive_key
from kernapay.core.mongo import Mongo
from kernapay.core.redis import AnyRedis, connect
from kernapay.files.base import FileStore
from kernapay.files.local import LocalFiles
from kernapay.files.s3 import S3Files
from kernapay.gateway.base import PaymentGateway
from kernapay.gateway.razorpay import RazorpayGateway
from kernapay.notifications import providers
from kernapay.notifications.outbox import Outbox
from kernapay.notifications.repository import MessageRepository
from kernapay.payments.export import ExportService
from kernapay.payments.ordering import Ordering
from kernapay.payments.receipts import ReceiptService
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.rules import PaymentRules
from kernapay.payments.service import PaymentService
from kernapay.payments.settlement import Settlement
from kernapay.reconciliation.pacing import Pace
from kernapay.reconciliation.repository import FindingRepository, ReportRepository
from kernapay.reconciliation.resync import Resync
from kernapay.reconciliation.service import ReconciliationService
from kernapay.security.addresses import ClientAddresses
from kernapay.security.passwords import PasswordHasher
from kernapay.security.rate_limits import PasswordAttempts, RateLimiter
from kernapay.security.tokens import RefreshTokens, TokenIssuer
from kernapay.sessions.repository import SessionRepository
from kernapay.sessions.service import SessionService
from kernapay.settings import Settings
from kernapay.users.repository import UserRepository
from kernapay.users.service import UserService
from kernapay.verification.codes import Codes
from kernapay.verification.repository import CodeRepository
from kernapay.verification.reset import PasswordResets
from kernapay.verification.service import VerificationService
from kernapay.webhooks.repository import WebhookRepository
from kernapay.webhooks.service import WebhookInbox


@dataclass(frozen=True, slots=True)
class Services:
    """Every collaborator; the field's name is also its injection key."""

    settings: Settings
    mongo: Mongo
    cache: Cache
    gateway: PaymentGateway
    addresses: ClientAddresses
    rate_limiter: RateLimiter
    tokens: TokenIssuer
    background: Background
    users: UserRepository
    accounts: UserService
    logins: SessionService
    payment_rows: PaymentRepository
    ordering: Ordering
    settlement: Settlement
    payments: PaymentService
    refunds: RefundService
    events: WebhookRepository
    inbox: WebhookInbox
    outbox: Outbox
    verification: VerificationService
    resets: PasswordResets
    reports: ReportRepository
    findings: FindingRepository
    reconciliation: ReconciliationService
    audit: AuditLog
    roster: RosterRepository
    administration: AdministrationService
    api_key_rows: ApiKeyRepository
    api_keys: ApiKeyService
    files: FileStore
    receipts: ReceiptService
    exports: ExportService
    pools: tuple[Bulkhead, ...]

    def dependencies(self) -> dict[str, Provide]:
        return {f.name: _constant(getattr(self, f.name)) for f in fields(self)}

    async def open(self) -> None:
        """Connect; absent servers are no reason not to start, readiness tells."""
        self.mongo.connect()
        await self.cache.start()

    async def close(self) -> None:
        """Finish what is under way, then let go of everything."""
        await self.ordering.drain()
        await self.background.drain()
        await self.outbox.close()
        await self.cache.close()
        for pool in self.pools:
            pool.close()
        self.mongo.close()


def build(
    settings: Settings,
    *,
    clock: Clock = now,
    redis: AnyRedis | None = None,
    gateway: PaymentGateway | None = None,
) -> Services:
    hashing = Bulkhead("hashing", settings.hashing_threads)
    calls = Bulkhead("gateway", settings.gateway_threads, queue=400)
    mongo = Mongo(settings.mongodb_url.get_secret_value(), settings.mongo_threads)
    cache = Cache(redis or connect(settings.redis), MongoPendingDrops(mongo))
    storing = Bulkhead("files", 4)
    files = _files(settings, storing, clock)
    audit = AuditLog(mongo, clock)
    key_secret = settings.razorpay_key_secret.get_secret_value()
    gateway = gateway or RazorpayGateway(
        settings.razorpay_key_id,
        key_secret,
        base_url=settings.razorpay_base_url,
        timeout=settings.razorpay_timeout.total_seconds(),
        pool=calls,
    )
    passwords = PasswordHasher(settings.salt_rounds, hashing)
    tokens = TokenIssuer(settings.jwt_secrets, settings.token_expiry, clock)
    addresses = ClientAddresses(settings.trusted_proxies)
    subject_key = derive_key(settings.jwt_secrets[0], "rate-limits")
    rate_limiter = RateLimiter(cache, settings.limits, subject_key, addresses)
    background = Background()
    attempts = PasswordAttempts(rate_limiter)
    users = UserRepository(mongo, cache, clock)
    sessions = SessionRepository(mongo, cache, clock)
    accounts = UserService(users, passwords, settings.signup_types, production=settings.production)
    roster = RosterRepository(mongo, cache, clock)
    api_key_rows = ApiKeyRepository(mongo, cache, clock)
    logins = SessionService(
        sessions,
        users,
        passwords,
        attempts,
        tokens,
        RefreshTokens(settings.jwt_secrets),
        settings.refresh_expiry,
        settings.refresh_grace,
        background,
        clock,
        production=settings.production,
    )
    payment_rows = PaymentRepository(mongo, cache, clock)
    ordering = Ordering(payment_rows, gateway, settings.razorpay_timeout, clock)
    settlement = Settlement(payment_rows, gateway, clock)
    rules = PaymentRules(settings.currencies, settings.max_amount, settings.service_types)
    payments = PaymentService(
        payment_rows, ordering, settlement, gateway, rules, key_secret.encode(), clock
    )
    refunds = RefundService(payment_rows, settlement, gateway, settings.razorpay_timeout, clock)
    events = WebhookRepository(mongo, clock)
    reports = ReportRepository(mongo, clock)
    findings = FindingRepository(mongo, clock)
    pace = Pace(settings.reconcile_rate)
    resync = Resync(
        payment_rows, settlement, ordering, refunds, gateway, pace, settings.payment_expiry, clock
    )
    outbox = Outbox(
        MessageRepository(mongo, clock),
        Sealer(settings.jwt_secrets, "outbox"),
        providers.email(settings),
        providers.sms(settings),
        clock,
    )
    codes = Codes(CodeRepository(mongo, clock), settings.jwt_secrets, clock)
    return Services(
        settings=settings,
        mongo=mongo,
        cache=cache,
        gateway=gateway,
        addresses=addresses,
        rate_limiter=rate_limiter,
        tokens=tokens,
        background=background,
        users=users,
        accounts=accounts,
        logins=logins,
        payment_rows=payment_rows,
        ordering=ordering,
        settlement=settlement,
        payments=payments,
        refunds=refunds,
        events=events,
        inbox=WebhookInbox(events, settlement, cache, settings.webhook_deadline, clock),
        reports=reports,
        findings=findings,
        reconciliation=ReconciliationService(
            reports,
            findings,
            payment_rows,
            resync,
            gateway,
            pace,
            settings.reconcile_after,
            clock,
        ),
        outbox=outbox,
        verification=VerificationService(users, codes, outbox, settings.sender_name),
        resets=PasswordResets(
            users,
            codes,
            outbox,
            logins.replace_password,
            attempts,
            settings.sender_name,
            clock,
            production=settings.production,
        ),
        audit=audit,
        roster=roster,
        administration=AdministrationService(
            roster, accounts, sessions, logins.replace_password, audit
        ),
        api_key_rows=api_key_rows,
        api_keys=ApiKeyService(api_key_rows, users, audit, background, clock, live=settings.live),
        files=files,
        receipts=ReceiptService(payments, files, users.name_of, settings.merchant_name, storing),
        exports=ExportService(payment_rows, files, audit, storing),
        pools=(calls, hashing, storing),
    )


def _files(settings: Settings, pool: Bulkhead, clock: Clock) -> FileStore:
    if settings.aws_bucket_name is None:
        return LocalFiles(settings.files_dir, settings.jwt_secrets, pool, clock)
    secret = settings.aws_secret_access_key
    return S3Files(
        settings.aws_bucket_name,
        region=settings.aws_region,
        key_id=settings.aws_access_key_id,
        secret=secret.get_secret_value() if secret else None,
        endpoint=settings.aws_endpoint_url,
        pool=pool,
        clock=clock,
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Build and open everything for a command of the command line, whose own output is for people."""
    logs.configure("WARNING", sys.stderr)
    services = build(settings)
    await services.open()
    try:
        yield services
    finally:
        await services.close()


def _constant(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
