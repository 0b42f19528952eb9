"""API2: the time of a refusal tells nothing about the signature that would have been right.

Passwords and codes are timed in `tests/sessions/test_timing.py` and `tests/verification/test_password_reset.py`.
"""

import ast
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import pytest

from kernapay.core.bulkhead import Bulkhead
from kernapay.files.local import LinkRefused, LocalFiles
from kernapay.gateway.signatures import checkout_signature_fits, webhook_signature_fits
from tests.actors import PAYMENTS, Actor
from tests.checkout import PACKAGE, SOURCES, nodes_of
from tests.factories import event_body, signature_of
from tests.in_process import InProcess
from tests.stack import KEY_SECRET, PREVIOUS_WEBHOOK_SECRET, WEBHOOK_PATH, WEBHOOK_SECRET

pytestmark = pytest.mark.owasp(line="API2")

FAIR = 0.1
"""How far from a half the share of pairs may be in which the one takes longer than the other."""
ALIKE = 0.05
"""Medians as close as this are no news to anybody, however constant the difference: a cache line does as much."""
ENOUGH, AT_MOST = 200, 4_000


def wrong_at(right: str, place: int) -> str:
    place %= len(right)
    return right[:place] + ("0" if right[place] != "0" else "1") + right[place + 1 :]


def advantage(first: list[int], second: list[int]) -> float:
    """Return how far the share of pairs with the first below the second is from a half (Mann-Whitney's U)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    below = ties = seen = 0
    start = 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        group = [which for _, which in ranked[start:end]]
        zeros, ones = group.count(0), group.count(1)
        below += seen * ones
        ties += zeros * ones
        seen += zeros
        start = end
    return abs((below + ties / 2) / (len(first) * len(second)) - 0.5)


def difference(first: list[int], second: list[int]) -> float:
    one, other = sorted((median(first), median(second)))
    return advantage(first, second) if other - one > ALIKE * one else 0.0


def spread(taken: Mapping[str, list[int]]) -> float:
    names = list(taken)
    return max(
        difference(taken[one], taken[other])
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    )


async def unfairness(
    tries: Mapping[str, Callable[[], Awaitable[object]]], at_most: int = AT_MOST
) -> float:
    """Return the largest advantage among the tries, taken in so many turns at most.

    In turns of random order, and on until they agree: a difference that is there stays however often one looks.
    """
    taken: dict[str, list[int]] = {name: [] for name in tries}
    shuffled = list(tries.items())
    dice = random.Random(2023)
    found = 1.0
    for turn in range(1, at_most + 1):
        dice.shuffle(shuffled)
        for name, attempt in shuffled:
            started = perf_counter_ns()
            await attempt()
            taken[name].append(perf_counter_ns() - started)
        if turn % ENOUGH == 0 and (found := spread(taken)) < FAIR:
            break
    return found


def many(check: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    """Repeat a check so often that its time can be measured."""

    async def attempt() -> None:
        for _ in range(25):
            check()

    return attempt


def leaky(right: str, given: str) -> bool:
    return all(a == b for a, b in zip(right, given, strict=True))


@pytest.mark.anyio
async def test_a_comparison_that_stops_early_would_be_seen() -> None:
    right = signature_of(b"{}")
    tries = {
        "first": many(lambda: leaky(right, wrong_at(right, 0))),
        "last": many(lambda: leaky(right, wrong_at(right, -1))),
    }
    assert await unfairness(dict(tries), ENOUGH) > 0.3


@pytest.mark.anyio
async def test_no_check_of_a_signature_stops_early(tmp_path: Path) -> None:
    body = event_body("payment.captured")
    secrets = [WEBHOOK_SECRET.encode(), PREVIOUS_WEBHOOK_SECRET.encode()]
    key = KEY_SECRET.encode()
    pool = Bulkhead("timing", 1)
    files = LocalFiles(tmp_path, ["a secret"], pool, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    link = await files.link("receipt-" + "0" * 32 + ".pdf")
    pool.close()

    def download(signature: str) -> None:
        with pytest.raises(LinkRefused):
            files.path_of(link.name, 9_999_999_999, signature)

    checks: dict[str, tuple[str, Callable[[str], object]]] = {
        "webhook": (
            signature_of(body),
            lambda given: webhook_signature_fits(secrets, body, given),
        ),
        "webhook, secret before": (
            signature_of(body, PREVIOUS_WEBHOOK_SECRET),
            lambda given: webhook_signature_fits(secrets, body, given),
        ),
        "checkout": (
            signature_of(b"order_1|pay_1", KEY_SECRET),
            lambda given: checkout_signature_fits([key], "order_1", "pay_1", given),
        ),
        "link": (link.url.rpartition("=")[2], download),
    }
    for name, (right, check) in checks.items():
        given = {place: wrong_at(right, place) for place in (0, len(right) // 2, -1)}
        tries = {f"wrong at {place}": many(partial(check, text)) for place, text in given.items()}
        assert await unfairness(tries) < FAIR, name


@pytest.fixture
def order(user: Actor) -> dict[str, Any]:
    return user.new_payment()


@pytest.mark.anyio
async def test_over_http_every_wrong_signature_takes_as_long(
    in_process: InProcess, order: dict[str, Any]
) -> None:
    body = event_body("payment.captured")
    proof = {
        "referenceId": order["referenceId"],
        "razorpayOrderId": order["orderId"],
        "razorpayPaymentId": "pay_1",
    }
    right = signature_of(f"{order['orderId']}|pay_1".encode(), KEY_SECRET)
    async with in_process() as client:

        def event(place: int) -> Callable[[], Awaitable[object]]:
            headers = {"X-Razorpay-Signature": wrong_at(signature_of(body), place)}
            return lambda: client.post(WEBHOOK_PATH, content=body, headers=headers)

        def verify(place: int) -> Callable[[], Awaitable[object]]:
            document = {**proof, "razorpaySignature": wrong_at(right, place)}
            return lambda: client.post(f"{PAYMENTS}/verify", json=document)

        for attempt in (event, verify):
            answer: Any = await attempt(0)()
            assert answer.json()["code"] == "invalid_signature"
            assert await unfairness({"first": attempt(0), "last": attempt(-1)}) < FAIR


def test_what_is_made_by_hmac_is_compared_in_constant_time() -> None:
    """A plain `==` is too fast to be timed here, and slow enough for who has patience: so none stands there."""
    words = ("signature", "digest", "hmac")
    compared = []
    for path in SOURCES:
        if path.relative_to(PACKAGE).parts[0] in ("sandbox", "devstack"):
            continue
        if not any(word in path.read_text() for word in words):
            continue
        for node in nodes_of(path):
            if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            names = {
                each.attr if isinstance(each, ast.Attribute) else each.id
                for side in (node.left, *node.comparators)
                for each in ast.walk(side)
                if isinstance(each, ast.Attribute | ast.Name)
            }
            if any(word in name for name in names for word in words):
                compared.append(f"{path}:{node.lineno} {ast.unparse(node)}")
    assert compared == []
