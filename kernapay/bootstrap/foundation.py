"""Thread pools, databases, file store, gateway, and the objects of security."""

from datetime import timedelta
from functools import cached_property
from typing import Final

from kernapay.audit.repository import AuditLog
from kernapay.config.settings import Settings
from kernapay.core import crash_points
from kernapay.core.background import Background
from kernapay.core.bulkhead import Bulkhead
from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import Clock, now
from kernapay.core.keys import derive_key
from kernapay.core.process_metrics import ProcessMetrics
from kernapay.core.slots import Slots
from kernapay.files.base import FileStore
from kernapay.files.local import LocalFiles
from kernapay.files.s3 import S3Files
from kernapay.gateway.base import PaymentGateway
from kernapay.gateway.calls.journal import CallJournal
from kernapay.gateway.calls.repository import GatewayCallRepository
from kernapay.gateway.razorpay import RazorpayGateway
from kernapay.security.addresses import ClientAddresses
from kernapay.security.attempts import PasswordAttempts
from kernapay.security.passwords import PasswordHasher
from kernapay.security.rate_limits import RateLimiter
from kernapay.security.tokens import TokenIssuer
from kernapay.storage.cache import Cache
from kernapay.storage.mongo import Mongo
from kernapay.storage.pending_evictions import MongoPendingEvictions
from kernapay.storage.redis import RedisStore
from kernapay.storage.schema_watch import SchemaWatch
from kernapay.storage.signals import Signals

# An operator may have to allow it to the service's Redis user.
_CHANNEL: Final = "kernapay:payments"
_DELIVERIES_CHANNEL: Final = "kernapay:deliveries"


class Foundation:
    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = now,
        gateway: PaymentGateway | None = None,
        process: str = "api",
    ) -> None:
        """`process` is the kind of process: `api`, `worker` or `command`."""
        if settings.is_production:
            crash_points.disarm()
        self.settings = settings
        self._clock = clock
        self._gateway = gateway
        self._process = process

    @cached_property
    def hashing_pool(self) -> Bulkhead:
        return Bulkhead("hashing", self.settings.hashing_threads)

    @cached_property
    def gateway_slots(self) -> Slots:
        return Slots("gateway", self.settings.gateway_threads, queue=400)

    @cached_property
    def file_pool(self) -> Bulkhead:
        return Bulkhead("files", 4)

    @cached_property
    def process_metrics(self) -> ProcessMetrics:
        return ProcessMetrics(
            (self.mongo.pool, self.gateway_slots, self.hashing_pool, self.file_pool)
        )

    @cached_property
    def business_days(self) -> BusinessDays:
        return BusinessDays(self.settings.business_timezone)

    @cached_property
    def background(self) -> Background:
        return Background()

    @cached_property
    def mongo(self) -> Mongo:
        return Mongo(self.settings.mongodb_url.get_secret_value(), self.settings.mongo_threads)

    @cached_property
    def schema_watch(self) -> SchemaWatch:
        # A lease is three times as long. Two clocks may differ from MongoDB's in opposite directions: a third of it is
        # left then, which a call to the gateway needs. Messages have leases of 30 seconds, and calls of 10.
        return SchemaWatch(self.mongo, min(self.settings.razorpay_timeout, timedelta(seconds=10)))

    @cached_property
    def redis(self) -> RedisStore:
        return RedisStore(self.settings.redis_address)

    @cached_property
    def cache(self) -> Cache:
        return Cache(self.redis, MongoPendingEvictions(self.mongo))

    @cached_property
    def payment_signals(self) -> Signals:
        """The ids of payments whose history has grown."""
        return Signals(self.redis, _CHANNEL, lambda: self.cache.is_up)

    @cached_property
    def delivery_signals(self) -> Signals:
        """Signals that new deliveries were stored."""
        return Signals(self.redis, _DELIVERIES_CHANNEL, lambda: self.cache.is_up)

    @cached_property
    def file_store(self) -> FileStore:
        settings = self.settings
        if settings.aws_bucket_name is None:
            folder = settings.files_dir
            return LocalFiles(folder, settings.jwt_secrets, self.file_pool, self._clock)
        secret = settings.aws_secret_access_key
        return S3Files(
            settings.aws_bucket_name,
            region=settings.aws_region,
            key_id=settings.aws_access_key_id,
            secret=secret.get_secret_value() if secret else None,
            endpoint=settings.aws_endpoint_url,
            pool=self.file_pool,
            clock=self._clock,
        )

    @cached_property
    def payment_gateway(self) -> PaymentGateway:
        return self._gateway or RazorpayGateway(
            self.settings.razorpay_key_id,
            self.settings.razorpay_key_secret.get_secret_value(),
            base_url=self.settings.razorpay_base_url,
            timeout=self.settings.razorpay_timeout.total_seconds(),
            slots=self.gateway_slots,
            keep=self.call_journal.note,
        )

    @cached_property
    def gateway_call_repository(self) -> GatewayCallRepository:
        return GatewayCallRepository(self.mongo, self._clock)

    @cached_property
    def call_journal(self) -> CallJournal:
        return CallJournal(self.gateway_call_repository, self._process, self._clock)

    @cached_property
    def password_hasher(self) -> PasswordHasher:
        return PasswordHasher(self.settings.salt_rounds, self.hashing_pool)

    @cached_property
    def token_issuer(self) -> TokenIssuer:
        return TokenIssuer(self.settings.jwt_secrets, self.settings.token_expiry, self._clock)

    @cached_property
    def client_addresses(self) -> ClientAddresses:
        return ClientAddresses(self.settings.trusted_proxies)

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        subject_key = derive_key(self.settings.jwt_secrets[0], "rate-limits")
        return RateLimiter(
            self.cache, self.redis, self.settings.limits, subject_key, self.client_addresses
        )

    @cached_property
    def password_attempts(self) -> PasswordAttempts:
        return PasswordAttempts(self.rate_limiter)

    @cached_property
    def audit_log(self) -> AuditLog:
        return AuditLog(self.mongo, self.rate_limiter, self._clock)
