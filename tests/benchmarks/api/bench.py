"""Measure a row: warm up, then rounds of the row and of its limit in turn."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final, NamedTuple

from tests.benchmarks.api import machine
from tests.benchmarks.api.load import Batch, Load, Outcome, Tool, play
from tests.benchmarks.api.material import Material
from tests.benchmarks.api.results import Measure, Pair, Result, Round, measure_pairs
from tests.benchmarks.api.rows import ALONE, ALONE_AGAINST, Limit, Row
from tests.benchmarks.api.stack import Counts, Program, Stack, Watch, count_answers

_WARM_UP_SECONDS: Final = 1.0
_IDLE_SECONDS: Final = 60.0
# Before the first round of a row: how many requests may be answered in a second.
_FIRST_GUESS: Final = 200.0
_MORE: Final = 1.5
# wrk takes a request before it starts, and the last ones of each connection stay without an answer.
_UNANSWERED: Final = 10


class WrongAnswers(Exception):
    """A server answered otherwise than the row expects, so its figures mean nothing."""


class _Exhausted(Exception):
    """The requests that may be sent once were all sent before the round was over."""


class Plan(NamedTuple):
    """How long and how often is measured.

    `tolerance` is how much of a core others may use, `requests` after how many the memory of a worker is measured.
    """

    seconds: float
    rounds: int
    tolerance: float
    tool: Tool
    requests: int


class _Supply:
    """Requests for one round after the other, none of which is used twice if it may be sent once only."""

    def __init__(self, row: Row, material: Material) -> None:
        self._row = row
        self._material = material
        self._repeated = row.repeat(material) if row.repeat else None
        self._ready: list[bytes] = []
        self._per_second = _FIRST_GUESS

    def take(self, load: Load) -> Batch:
        if self._repeated is not None:
            return self._repeated
        assert self._row.fresh is not None
        wanted = ceil(self._per_second * load.seconds * _MORE) + self._spare(load)
        self._ready += self._row.fresh(self._material, max(0, wanted - len(self._ready)))
        return Batch(self._ready[:wanted], only_once=True)

    def used(self, batch: Batch, load: Load, answers: float) -> None:
        """Forget what was sent."""
        if self._repeated is None:
            self._per_second = answers / load.seconds
            del self._ready[: ceil(answers) + self._spare(load)]

    def exhausted(self, batch: Batch) -> None:
        self._per_second *= 2
        del self._ready[: len(batch.requests)]

    @staticmethod
    def _spare(load: Load) -> int:
        return 2 * load.connections + _UNANSWERED


class Use(NamedTuple):
    """What was used in a round: the server's processor seconds, and the cores that others used on average."""

    server_seconds: float
    others: float


class Bench:
    def __init__(self, stack: Stack, material: Material, plan: Plan) -> None:
        self.stack = stack
        self.material = material
        self.plan = plan

    def measure(self, row: Row, connections: int) -> Result:
        """Measure a row. Raises WrongAnswers."""
        load = Load(self.plan.seconds * row.stretch, connections)
        is_alone = connections == ALONE and row.alone_target is not None
        limit_load = load._replace(connections=ALONE_AGAINST) if is_alone else load
        supply = _Supply(row, self.material)
        warm_up = min(_WARM_UP_SECONDS, self.plan.seconds)
        self._api_round(row, supply, load._replace(seconds=warm_up))
        compare = self._limit_round(row.limit, limit_load) if row.limit else None
        if compare:
            compare()
        kept = measure_pairs(
            lambda: self._api_round(row, supply, load),
            compare,
            self.plan.rounds,
            self.plan.tolerance,
        )
        require_answers(kept.pairs, row.name)
        return Result(
            name=row.name,
            connections=connections,
            measure=Measure.CPU,
            pairs=kept.pairs,
            dropped=kept.dropped,
            is_noisy=kept.is_noisy,
            limit=row.limit.name if row.limit else None,
            limit_connections=limit_load.connections if row.limit else None,
            target=row.alone_target if is_alone else row.target,
        )

    def _api_round(self, row: Row, supply: _Supply, load: Load) -> Round:
        while True:
            batch = supply.take(load)
            try:
                return self._count_api_round(row, supply, batch, load)
            except _Exhausted:
                supply.exhausted(batch)

    def _count_api_round(self, row: Row, supply: _Supply, batch: Batch, load: Load) -> Round:
        before = self.stack.metrics()
        outcome, use = self._play(self.stack.api, batch, load)
        after = self.stack.metrics()
        counts = count_answers(after, row.status).since(count_answers(before, row.status))
        if batch.only_once and counts.unmatched:
            raise _Exhausted
        check(f"{row.name} at {load.connections} connections", outcome, counts)
        if row.proof is not None:
            proven = after.get(row.proof, 0) - before.get(row.proof, 0)
            if proven != counts.right:
                raise WrongAnswers(
                    f"{row.name}: {counts.right:.0f} answers, but {row.proof} grew by {proven:.0f}"
                )
        supply.used(batch, load, counts.right)
        return self._round(outcome, use, counts.right)

    def _limit_round(self, limit: Limit, load: Load) -> Callable[[], Round]:
        if limit.is_on_api:
            row = Row(name=limit.name, title=limit.name, repeat=limit.repeat)
            supply = _Supply(row, self.material)
            return lambda: self._api_round(row, supply, load)
        batch = limit.repeat(self.material)

        def measure() -> Round:
            before = self.stack.limit_answers()
            outcome, use = self._play(self.stack.limits, batch, load)
            right = self.stack.limit_answers() - before
            check(f"{limit.name} at {load.connections} connections", outcome, Counts(right, 0, 0))
            return self._round(outcome, use, right)

        return measure

    def _round(self, outcome: Outcome, use: Use, right: float) -> Round:
        return Round(
            per_second=outcome.per_second,
            cpu_us=use.server_seconds / right * 1e6,
            p50_ms=outcome.p50_ms,
            p99_ms=outcome.p99_ms,
            memory_mb=machine.resident_megabytes(self.stack.api.family),
            answers=int(right),
            others=use.others,
        )

    def _play(self, server: Program, batch: Batch, load: Load) -> tuple[Outcome, Use]:
        """Send the load. The use includes what the server finishes after the load has ended."""
        machine.wait_until_idle(server.family, _IDLE_SECONDS)
        watch = Watch(self.stack)
        before = machine.cpu_seconds(server.family)
        outcome = play(self.plan.tool, server.port, batch, load)
        machine.wait_until_idle(server.family, _IDLE_SECONDS)
        return outcome, Use(machine.cpu_seconds(server.family) - before, watch.others())


def check(name: str, outcome: Outcome, counts: Counts) -> None:
    wrong = int(max(counts.wrong + counts.unmatched, outcome.refused))
    if wrong or outcome.broken or not counts.right:
        raise WrongAnswers(
            f"{name}: {counts.right:.0f} right answers, {wrong} wrong ones, "
            f"{outcome.broken} connections without an answer"
        )


def require_answers(pairs: Sequence[Pair], name: str) -> None:
    """Raise WrongAnswers for rounds that have no latencies, because none of their answers came in time."""
    rounds = [each for pair in pairs for each in (pair.row, pair.limit) if each is not None]
    if not all(each.p99_ms > 0 for each in rounds):
        raise WrongAnswers(f"{name}: no answer came before a round was over. Take longer rounds.")
