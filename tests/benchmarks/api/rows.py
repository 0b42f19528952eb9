"""The rows of the table: what each sends, what it is compared with, and what it should cost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.api.load import Batch
from tests.benchmarks.api.material import Material
from tests.benchmarks.api.results import Target

_PROCESSED: Final = ("kernapay_webhooks_total", 'outcome="processed"')
_REPEATED: Final = ("kernapay_webhooks_total", 'outcome="repeated"')


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A route to compare with. `repeat` makes requests that may be sent any number of times."""

    name: str
    repeat: Callable[[Material], Batch]
    is_on_api: bool = False
    """Whether the API itself answers it, and not the limits."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A route of the API.

    `repeat` makes requests that may be sent again; `fresh` makes so many that are sent once. `proof` is a metric that
    grows by one with each answer. A slow route has rounds `stretch` times as long. `alone_target` is the target at one
    connection, against the limit at 16.
    """

    name: str
    title: str
    status: int = 200
    repeat: Callable[[Material], Batch] | None = None
    fresh: Callable[[Material, int], list[bytes]] | None = None
    proof: tuple[str, str] | None = None
    stretch: int = 1
    limit: Limit | None = None
    target: Target | None = None
    alone_target: Target | None = None


ALONE: Final = 1
ALONE_AGAINST: Final = 16

MINI: Final = Limit(name="mini", repeat=Material.mini)
FIND_ONE: Final = Limit(name="find_one", repeat=Material.find_one)
INSERT: Final = Limit(name="insert", repeat=Material.insert)
BCRYPT: Final = Limit(name="bcrypt", repeat=Material.check_password)
PLAIN: Final = Limit(name="plain", repeat=Material.history, is_on_api=True)

_ALONE_TARGET: Final = Target(6, 4)

ROWS: Final = (
    Row(
        name="history",
        title="cached history",
        repeat=Material.history,
        limit=MINI,
        target=Target(1.4, 1.1),
    ),
    Row(
        name="profile",
        title="cached profile",
        repeat=Material.profile,
        limit=MINI,
        target=Target(1.4, 1.1),
    ),
    Row(
        name="status",
        title="status",
        repeat=Material.status,
        limit=FIND_ONE,
        target=Target(0.9, 0.5),
    ),
    Row(
        name="create",
        title="create, new key",
        status=201,
        fresh=Material.creates,
        limit=INSERT,
        target=Target(3, 2),
        alone_target=_ALONE_TARGET,
    ),
    Row(
        name="same-key",
        title="create, same key",
        repeat=Material.same_keys,
        limit=INSERT,
        target=Target(1, 0.5),
        alone_target=_ALONE_TARGET,
    ),
    Row(
        name="webhook",
        title="webhook, settled",
        fresh=Material.events,
        proof=_PROCESSED,
        limit=INSERT,
        target=Target(3, 1.5),
        alone_target=_ALONE_TARGET,
    ),
    Row(
        name="verify",
        title="verify",
        fresh=Material.verifies,
        limit=INSERT,
        target=Target(6, 3),
        alone_target=_ALONE_TARGET,
    ),
    Row(
        name="known-event",
        title="webhook, known event",
        repeat=Material.known_events,
        proof=_REPEATED,
    ),
    Row(
        name="login",
        title="login",
        repeat=Material.logins,
        stretch=3,
        limit=BCRYPT,
        target=Target(1.05, 1.05),
    ),
    Row(name="live", title="health/live", repeat=Material.live),
    Row(
        name="gzip",
        title="cached history, gzip",
        repeat=Material.history_gzip,
        limit=PLAIN,
        target=Target(1.05, 1.05),
    ),
)
