"""Let a comparison continue after subjects that cannot be read."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from kernapay.core.errors import KernaPayError, NotFound
from kernapay.gateway.base import GatewayMissing, GatewayTooOld, GatewayUnknown, GatewayUnreadable
from kernapay.payments.models import Payment
from kernapay.reconciliation.differences import Difference
from kernapay.reconciliation.models import Kind
from kernapay.storage.unreadable import UnreadableRow

_log = structlog.get_logger("kernapay.reconciliation")
# So many questions in a row without an answer: the gateway is down. One alone is passed over.
_SILENT_IN_A_ROW: Final = 3
Work = Callable[[], Awaitable[Sequence[Difference]]]


class Guard:
    """Runs the steps of one comparison. `unchecked` grows with what could not be compared.

    `done` has the subjects that are compared already, and may be the set of an earlier comparison.
    """

    def __init__(self, done: set[str] | None = None) -> None:
        self.done: set[str] = set() if done is None else done
        self.unchecked: list[str] = []
        self._silent = 0

    async def run(
        self,
        work: Work,
        subject: str | None,
        payment: Payment | None = None,
        *,
        order_id: str | None = None,
        razorpay_payment_id: str | None = None,
        dispute_id: str | None = None,
    ) -> Sequence[Difference]:
        """Return the differences that `work` finds. A subject that cannot be read does not end the comparison.

        Raises Unavailable, and GatewayError when the gateway keeps failing.
        """
        silent_before = self._silent
        try:
            found = await work()
        except GatewayUnreadable as error:
            odd = {"theirs": error.detail}
        except (GatewayMissing, GatewayTooOld, GatewayUnknown, NotFound) as error:
            self._silent += isinstance(error, GatewayUnknown)
            if self._silent >= _SILENT_IN_A_ROW:
                raise
            self.note(str(subject), error)
            return []
        except UnreadableRow as error:
            # It is met by its order, by its dispute, and by itself.
            if (row_id := str(error.row_id)) in self.done:
                return []
            self.done.add(row_id)
            odd = {"ours": f"the payment with the _id {row_id}"}
        except KernaPayError:
            raise
        except Exception as error:
            _log.error("comparison_broken", subject=subject, exc_info=error)
            odd = {"ours": f"{subject}: {type(error).__name__}"}
        else:
            if self._silent == silent_before:
                self._silent = 0
            return found
        return [
            Difference(Kind.UNREADABLE, payment, order_id, razorpay_payment_id, dispute_id, **odd)
        ]

    def note(self, subject: str, error: KernaPayError) -> None:
        """Add a subject that could not be compared."""
        self.unchecked.append(f"{subject}: {error.detail}")
