"""A service with so many payments: its own stores, its sandbox, its API, and the accounts that use it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import msgspec
from redis import Redis

from kernapay.devstack.servers import MongoServer
from tests.actors import Actor, People, log_in
from tests.benchmarks.api.machine import Cores
from tests.benchmarks.api.material import User
from tests.benchmarks.api.stack import Servers
from tests.factories import PASSWORD
from tests.plain_http import NO_AUTHORITIES

_CACHE: Final = "--wiredTigerCacheSizeGB"
_FACTS: Final = "site.json"
# Fewer would be refused: one account may not have so many calls under way.
_USERS: Final = 8


class LargeMongo(MongoServer):
    """A mongod with the cache of a machine that is made for so many rows, not with that of a development stack."""

    def __init__(self, data_dir: Path, cache_gb: float) -> None:
        super().__init__(data_dir)
        self._cache_gb = cache_gb

    def command(self) -> Sequence[str]:
        options = list(super().command())
        options[options.index(_CACHE) + 1] = f"{self._cache_gb:g}"
        return options


class _Facts(msgspec.Struct):
    """What a later run has to know of a database that was filled."""

    payments: int
    payer: str
    provider: str
    admin: str
    users: list[str]


class Site:
    """`payer` has created many of the payments, `provider` has received many of them."""

    def __init__(
        self, home: Path, stack: ExitStack, payments: int, cores: Cores, cache_gb: float
    ) -> None:
        self.home = home
        self.payments = payments
        self.servers = Servers(home, stack, LargeMongo(home / "mongo", cache_gb), cores=cores)
        self.store = self.servers.store
        self.client = stack.enter_context(
            httpx.Client(
                base_url=self.servers.api.url, trust_env=False, timeout=60, verify=NO_AUTHORITIES
            )
        )
        self.redis: Redis = stack.enter_context(Redis.from_url(self.servers.redis.url))
        self.is_filled = is_filled(home)
        if self.is_filled:
            facts = msgspec.json.decode((home / _FACTS).read_bytes(), type=_Facts)
            emails = (facts.payer, facts.provider, facts.admin, *facts.users)
            signed_in = [log_in(self.client, email, PASSWORD) for email in emails]
        else:
            people = People(self.client, self.store)
            special = [people.new(), people.new("PROVIDER", approved=True), people.new("ADMIN")]
            signed_in = [*special, *(people.new() for _ in range(_USERS))]
        self.payer, self.provider, self.admin, *self.users = signed_in

    @property
    def mongod(self) -> int:
        """The process of its MongoDB."""
        assert self.servers.mongo.pid is not None
        return self.servers.mongo.pid

    def note_filled(self) -> None:
        """Let a later run know that the database is complete."""
        emails = (self.payer.email, self.provider.email, self.admin.email)
        facts = _Facts(self.payments, *emails, [user.email for user in self.users])
        (self.home / _FACTS).write_bytes(msgspec.json.encode(facts))
        self.is_filled = True


def is_filled(home: Path) -> bool:
    """Return whether an earlier run has filled the database in this folder."""
    return (home / _FACTS).exists()


@contextmanager
def home_of(keep: Path | None) -> Iterator[Path]:
    """Yield the folder of the databases: one to keep, or one that is removed with the block."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with TemporaryDirectory(prefix="kernapay-growth-") as home:
        yield Path(home)


def user_of(actor: Actor) -> User:
    return User(actor.id, actor.email, actor.token)
