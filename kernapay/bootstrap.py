"""The whole object graph, by hand, on one screen."""

from dataclasses import dataclass, fields

from litestar.di import Provide

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.cache import Cache
from kernapay.core.clock import Clock, now
from kernapay.core.drops import MongoPendingDrops
from kernapay.core.mongo import Mongo
from kernapay.core.redis import AnyRedis, connect
from kernapay.gateway.base import PaymentGateway
from kernapay.gateway.razorpay import RazorpayGateway
from kernapay.payments.ordering import Ordering
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.rules import PaymentRules
from kernapay.payments.service import PaymentService
from kernapay.payments.settlement import Settlement
from kernapay.security.passwords import PasswordHasher
from kernapay.security.tokens import TokenIssuer
from kernapay.sessions.repository import SessionRepository
from kernapay.sessions.service import SessionService
from kernapay.settings import Settings
from kernapay.users.repository import UserRepository
from kernapay.users.service import UserService
from kernapay.webhooks.repository import WebhookRepository
from kernapay.webhooks.service import WebhookInbox


@dataclass(frozen=True, slots=True)
class Services:
    """Every collaborator; the field's name is also its injection key."""

    settings: Settings
    mongo: Mongo
    cache: Cache
    gateway: PaymentGateway
    tokens: TokenIssuer
    users: UserRepository
    accounts: UserService
    logins: SessionService
    payment_rows: PaymentRepository
    ordering: Ordering
    settlement: Settlement
    payments: PaymentService
    refunds: RefundService
    inbox: WebhookInbox
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
    users = UserRepository(mongo, cache, clock)
    sessions = SessionRepository(mongo, cache, clock)
    payment_rows = PaymentRepository(mongo, cache, clock)
    ordering = Ordering(payment_rows, gateway, settings.razorpay_timeout, clock)
    settlement = Settlement(payment_rows, gateway, clock)
    rules = PaymentRules(settings.currencies, settings.max_amount, settings.service_types)
    return Services(
        settings=settings,
        mongo=mongo,
        cache=cache,
        gateway=gateway,
        tokens=tokens,
        users=users,
        accounts=UserService(
            users, passwords, settings.signup_types, production=settings.production
        ),
        logins=SessionService(
            sessions, users, passwords, tokens, clock, production=settings.production
        ),
        payment_rows=payment_rows,
        ordering=ordering,
        settlement=settlement,
        payments=PaymentService(
            payment_rows, ordering, settlement, gateway, rules, key_secret.encode(), clock
        ),
        refunds=RefundService(payment_rows, settlement, gateway, settings.razorpay_timeout, clock),
        inbox=WebhookInbox(
            WebhookRepository(mongo, clock), settlement, cache, settings.webhook_deadline, clock
        ),
        pools=(calls, hashing),
    )


def _constant(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
