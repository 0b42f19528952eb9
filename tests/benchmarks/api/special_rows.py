"""The rows that are no plain load: reads while something else goes on, and the memory of a worker."""

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, NamedTuple

from tests.benchmarks.api import machine
from tests.benchmarks.api.bench import Bench, WrongAnswers, check
from tests.benchmarks.api.http_client import raw_request, send_all
from tests.benchmarks.api.load import Batch, Load, Outcome, play
from tests.benchmarks.api.results import Measure, Pair, Result, Round, Target, measure_pairs
from tests.benchmarks.api.stack import Counts, Watch, count_answers

_READERS: Final = 16
# They leave the server most of its time: at its limit, a read would wait for other reads only.
_PAUSE_MS: Final = 10
_STORM: Final = 16
_HANGING: Final = 100
# Together less than RAZORPAY_TIMEOUT.
_LONGEST_READS: Final = 4.0
_HANG_SECONDS: Final = 8.0
_SETTLING_SECONDS: Final = 1.0
_CREATES: Final = ("kernapay_http_request_seconds_count", "/v1/api/payments/create")
_MIXED_CONNECTIONS: Final = 64
_P99_TARGET: Final = Target(1.5, 1.2)
_MEMORY_TARGET: Final = Target(100, 85)

Circumstances = Callable[[Bench], AbstractContextManager[None]]


class SpecialRow(NamedTuple):
    name: str
    title: str
    measure: Callable[[Bench], Result]


@contextmanager
def _login_storm(bench: Bench) -> Iterator[None]:
    """Let people log in for as long as the reads may take, and a little longer."""
    load = Load(min(bench.plan.seconds, _LONGEST_READS) + 2 * _SETTLING_SECONDS, _STORM)
    port, logins = bench.stack.api.port, bench.material.logins()
    with ThreadPoolExecutor(1) as threads:
        storm = threads.submit(play, bench.plan.tool, port, logins, load)
        time.sleep(_SETTLING_SECONDS)
        yield
        if storm.done():
            raise WrongAnswers("storm: the logins ended before the reads")
        _check_outcome("storm", storm.result())


@contextmanager
def _hanging_gateway(bench: Bench) -> Iterator[None]:
    """Let people create payments while the gateway takes long. Raises WrongAnswers if one is answered meanwhile."""
    fault = {
        "name": "delay",
        "times": None,
        "route": "/v1/orders",
        "method": "POST",
        "options": {"seconds": _HANG_SECONDS},
    }
    _tell_sandbox(bench, "POST", json.dumps(fault).encode())
    creates = bench.material.creates(_HANGING)
    with ThreadPoolExecutor(1) as threads:
        before = _answered_creates(bench)
        hanging = threads.submit(send_all, bench.stack.api.port, creates, _HANGING)
        try:
            time.sleep(_SETTLING_SECONDS)
            yield
            answered = _answered_creates(bench) - before
        finally:
            _tell_sandbox(bench, "DELETE")
        hanging.result()
    if answered:
        raise WrongAnswers(f"hang: {answered:.0f} of {_HANGING} calls did not hang")


def _tell_sandbox(bench: Bench, method: str, body: bytes = b"") -> None:
    port = bench.stack.sandbox.port
    (answer,) = send_all(port, [raw_request(method, "/_sandbox/faults", port, body=body)])
    if answer.status >= 300:
        raise WrongAnswers(f"The sandbox refused a fault: {answer.body!r}")


def _answered_creates(bench: Bench) -> float:
    name, route = _CREATES
    metrics = bench.stack.metrics()
    return sum(value for key, value in metrics.items() if key[0] == name and route in key[1])


def _reads(bench: Bench, batch: Batch, circumstances: Circumstances) -> Round:
    load = Load(min(bench.plan.seconds, _LONGEST_READS), _READERS, _PAUSE_MS)
    machine.wait_until_idle(bench.stack.api.family, 60)
    with circumstances(bench):
        watch = Watch(bench.stack)
        outcome = play(bench.plan.tool, bench.stack.api.port, batch, load)
        others = watch.others()
    _check_outcome("reads", outcome)
    return Round(
        per_second=outcome.per_second,
        cpu_us=None,
        p50_ms=outcome.p50_ms,
        p99_ms=outcome.p99_ms,
        memory_mb=machine.resident_megabytes(bench.stack.api.family),
        answers=outcome.answers,
        others=others,
    )


def _check_outcome(name: str, outcome: Outcome) -> None:
    check(name, outcome, Counts(outcome.answers - outcome.refused, 0, 0))


def _read_beside(name: str, circumstances: Circumstances, bench: Bench) -> Result:
    """Compare the reads' p99 under the circumstances with that of an idle server."""
    batch = bench.material.history()
    kept = measure_pairs(
        lambda: _reads(bench, batch, circumstances),
        lambda: _reads(bench, batch, lambda _: nullcontext()),
        bench.plan.rounds,
        bench.plan.tolerance,
    )
    return Result(
        name=name,
        connections=_READERS,
        measure=Measure.P99,
        pairs=kept.pairs,
        dropped=kept.dropped,
        is_noisy=kept.is_noisy,
        limit="idle",
        limit_connections=_READERS,
        target=_P99_TARGET,
    )


def _measure_memory(bench: Bench) -> Result:
    """Return the memory of a new worker after so many requests of several kinds."""
    material = bench.material
    parts = (material.history, material.profile, material.status, material.same_keys)
    requests = [each for part in parts for each in part().requests]
    random.Random(1).shuffle(requests)
    bench.stack.restart_api()
    load = Load(bench.plan.seconds, _MIXED_CONNECTIONS)
    watch = Watch(bench.stack)
    outcomes: list[Outcome] = []
    while sum(each.answers for each in outcomes) < bench.plan.requests:
        outcomes.append(play(bench.plan.tool, bench.stack.api.port, Batch(requests), load))
    counts = count_answers(bench.stack.metrics(), 200)
    for each in outcomes:
        check("memory", each, counts)
    worst = max(outcomes, key=lambda each: each.p99_ms)
    last = Round(
        per_second=sum(each.per_second for each in outcomes) / len(outcomes),
        cpu_us=None,
        p50_ms=worst.p50_ms,
        p99_ms=worst.p99_ms,
        memory_mb=machine.resident_megabytes(bench.stack.api.family),
        answers=int(counts.right),
        others=watch.others(),
    )
    return Result(
        name="memory",
        connections=_MIXED_CONNECTIONS,
        measure=Measure.MEMORY,
        pairs=[Pair(last)],
        target=_MEMORY_TARGET,
    )


SPECIAL_ROWS: Final = (
    SpecialRow(
        "storm", "cached history, logins beside", lambda b: _read_beside("storm", _login_storm, b)
    ),
    SpecialRow(
        "hang",
        "cached history, gateway hangs",
        lambda b: _read_beside("hang", _hanging_gateway, b),
    ),
    SpecialRow("memory", "memory of a worker", _measure_memory),
)
