"""Queries on papers, and on the payments that they are about."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from bson import ObjectId

from kernapay.core.clock import Clock, now
from kernapay.core.crash_points import crash_point
from kernapay.core.errors import NotFound, Unavailable
from kernapay.payments.documents.models import Paper, PaperKind
from kernapay.payments.models import Payment
from kernapay.payments.states import PAID
from kernapay.storage.batching import Batcher
from kernapay.storage.filters import BeforeAfter, LimitOffset, OrderBy
from kernapay.storage.mongo import Mongo
from kernapay.storage.numbering import insert_numbered
from kernapay.storage.reading import MAX_TIME_MS
from kernapay.storage.repository import ReadOnlyRepository, Repository, Row
from kernapay.storage.unreadable import UnreadableRow

_EPOCH = datetime.fromtimestamp(0, UTC)
_BATCH = 500
_UNCONFIRMED = (
    "An earlier request for this paper is not stored safely yet. Repeat the call in a second."
)


class PaperRepository(Repository[Paper]):
    model = Paper

    def __init__(self, mongo: Mongo, clock: Clock = now) -> None:
        super().__init__(mongo, clock)
        # One at a time in each process, so that those of one process do not race for the next number.
        self._issues: Batcher[Paper, Paper] = Batcher(self._issue_all, "papers", largest=200)

    async def issue(self, draft: Paper) -> Paper:
        """Return the paper with the draft's id. If there is none, it is the draft with the next number of its series.

        Raises Unavailable.
        """
        return await self._issues.request(draft)

    async def of_payments(self, payment_ids: Sequence[object]) -> list[Paper]:
        """Return the papers of payments, in the order of their series and numbers."""
        papers = await self.list(payment_id__in=list(payment_ids))
        return sorted(papers, key=lambda paper: (paper.series, paper.number))

    async def notes_between(self, start: datetime, end: datetime) -> AsyncIterator[list[Paper]]:
        """Yield the credit notes of refunds that were processed between two times, oldest first, in batches."""
        period = BeforeAfter("at", before=end, after=start)
        batch: list[Paper] = []
        async for paper in self.stream(
            period, OrderBy("at"), OrderBy("id"), kind=PaperKind.CREDIT_NOTE
        ):
            batch.append(paper)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def with_code(self, code: str) -> Paper | None:
        """Return the paper with this code. Raises Unavailable if it is not known whether there is one."""
        paper = await self.get_one_or_none(code=code)
        if paper is None:
            await self.confirm_absence(code=code)
        return paper

    async def mails_due(self, count: int) -> list[Paper]:
        """Return papers whose mail is due, the oldest first."""
        # The first condition proves to MongoDB that the partial index has all of them.
        return await self.list(
            OrderBy("mail_at"), LimitOffset(count), mail_at__gt=_EPOCH, mail_at__lte=self.clock()
        )

    async def take_mail(self, paper: Paper, until: datetime) -> Paper | None:
        """Postpone the mail with this paper. Return None if another worker has taken it."""
        where = {"id": paper.pk, "mail_at": paper.mail_at}
        return await self.update_where(where, set__mail_at=until, is_visible=False)

    async def end_mail(self, paper: Paper) -> bool:
        """Note that the mail with this paper is in the outbox. Return False if somebody else has done so."""
        where = {"id": paper.pk, "mail_at": paper.mail_at}
        return await self.update_where(where, unset__mail_at=True, is_visible=False) is not None

    async def _issue_all(self, drafts: Sequence[Paper]) -> Sequence[Paper | Exception]:
        def write() -> list[Paper | Exception]:
            at = self.clock()
            rows = [self._row(draft) | {"createdAt": at, "updatedAt": at} for draft in drafts]
            # Another process may have made some of them a moment ago, and a majority may not have those yet.
            with self._collection.database.client.start_session() as session:
                insert_numbered(self._collection, rows, session)
                crash_point("papers.numbered")
                found = self._collection.find(
                    {"_id": {"$in": [row["_id"] for row in rows]}},
                    session=session,
                    max_time_ms=MAX_TIME_MS,
                )
                stored = {row["_id"]: row for row in found}
            return [self._reply(stored.get(row["_id"])) for row in rows]

        return await self._run(write)

    def _reply(self, row: Row | None) -> Paper | Exception:
        """Return the paper, or the error of its request alone: one row that cannot be read hides no other."""
        if row is None:
            return Unavailable(_UNCONFIRMED, retry_after=1)
        try:
            return self._hydrate(row)
        except UnreadableRow as error:
            return error

    @staticmethod
    def _row(draft: Paper) -> Row:
        row: Row = draft.to_mongo()
        return row


class PaidPaymentRepository(ReadOnlyRepository[Payment]):
    """The payments that papers are about."""

    model = Payment

    async def paid_of(self, payment_ids: Sequence[object]) -> list[Payment]:
        """Return the paid ones among these payments.

        What no id of ours can be names a row of another system. No document can be made of it, so it has no papers.
        """
        ids = [each for each in payment_ids if ObjectId.is_valid(each)]
        return await self.list(id__in=ids, status__in=PAID)

    async def of_id(self, payment_id: object) -> Payment:
        """Return a payment. Raises NotFound, and Unavailable if it is not known whether there is one."""
        payment = await self.get_one_or_none(id=payment_id)
        if payment is None:
            await self.confirm_absence(id=payment_id)
            raise NotFound("No such payment.")
        return payment
