"""Open streams: decide who sees how much of a payment, and for how long."""

from dataclasses import dataclass

from kernapay.core.errors import NotFound, Unauthenticated, Unavailable
from kernapay.live.dtos import LivePayment
from kernapay.live.messages import BEARER, Sight
from kernapay.live.repository import LivePaymentRepository
from kernapay.live.stream_limits import StreamLimits
from kernapay.live.watcher import Watcher
from kernapay.payments.visibility import may_see, may_see_disputes
from kernapay.security.authentication import Authenticator
from kernapay.security.principal import Principal


@dataclass(frozen=True, slots=True)
class Owner:
    """The columns that say whose payment it is."""

    user_id: str
    payee_id: str | None
    customer_id: str | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who follows a stream: a caller with a token, or somebody who only knows the reference."""

    sight: Sight
    token: str | None
    owner: Owner
    client: str
    """Whose streams are counted together: an account, or an address."""


class LiveService:
    def __init__(
        self,
        payments: LivePaymentRepository,
        watcher: Watcher,
        stream_limits: StreamLimits,
        authenticate: Authenticator,
    ) -> None:
        self._payments = payments
        self._authenticate = authenticate
        self.watcher = watcher
        self.stream_limits = stream_limits

    async def open(
        self, principal: Principal | None, token: str | None, address: str, reference_id: str
    ) -> tuple[LivePayment, Viewer]:
        """Return the payment and its viewer. Raises NotFound, Unavailable."""
        row = await self._payments.by_reference(reference_id)
        if row is None:
            raise NotFound("No payment has this reference.")
        owner = Owner(row.user_id, row.payee_id, row.customer_id)
        sight = BEARER if principal is None else _sight_of(principal, owner)
        client = principal.id if principal else address
        return row, Viewer(sight, token if sight.in_full else None, owner, client)

    async def may_stay(self, viewer: Viewer) -> bool | None:
        """Return whether the viewer may still see as much: the session may have ended, or the role changed.

        None if that is not known, as the stores cannot be reached.
        """
        if viewer.token is None:
            return True
        try:
            principal = await self._authenticate(viewer.token)
        except Unauthenticated:
            return False
        except Unavailable:
            return None
        return _sight_of(principal, viewer.owner) == viewer.sight


def _sight_of(principal: Principal, owner: Owner) -> Sight:
    # Anybody may write any address into a sign-up as LAB_ASSISTANT. Who knows the reference sees what its bearer sees.
    if principal.must_verify_first or not may_see(principal, owner):
        return BEARER
    return Sight(in_full=True, disputes=may_see_disputes(principal, owner))
