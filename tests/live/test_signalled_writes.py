"""Each write that lets a payment's history grow is signalled, after it was made."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.actors import Actor, request_refund, verify
from tests.aliases import Store
from tests.checkout import ROOT
from tests.live.conftest import FAST, OpenLive
from tests.live.payments import capture, decline
from tests.money.disputes import invented, tell
from tests.stack import Sandbox
from tests.waiting import until

LEDGERS = sorted((ROOT / "kernapay" / "payments").glob("*ledger.py"))
GROWS = ("push_step(", "replace_dispute(", "_begin(payment", "find_one_and_update(")
SIGNALS = ("signal(", "evict_history(", "changing_history(")


def writers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the methods that let a history grow, with their source."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef):
            text = ast.get_source_segment(source, node) or ""
            if any(sign in text for sign in GROWS):
                yield f"{path.stem}.{node.name}", text


def test_every_write_of_the_ledger_that_adds_a_step_signals_it() -> None:
    found = {name: text for path in LEDGERS for name, text in writers(path)}
    assert len(found) >= 8, found.keys()
    assert "refund_ledger._update" in found, "pipelines go through it"
    silent = {name for name, text in found.items() if not any(sign in text for sign in SIGNALS)}
    assert silent == set()


@pytest.mark.anyio
async def test_changes_of_all_kinds_are_signalled(
    open_live: OpenLive,
    user: Actor,
    admin: Actor,
    api: httpx.Client,
    sandbox: Sandbox,
    store: Store,
) -> None:
    heard: list[str] = []

    class Ear:
        def hear(self, name: str) -> None:
            heard.append(name)

        def doubt(self) -> None:
            """Nothing is looked at here."""

    async with open_live(rhythm=FAST) as app:
        signals = app.services.payment_signals
        signals.listen(Ear())
        await until(lambda: signals.is_connected)
        payment = await asyncio.to_thread(user.new_payment)
        where = {"referenceId": payment["referenceId"]}
        row = await asyncio.to_thread(store.payments.find_one, where)
        assert row is not None
        name = str(row["_id"])

        async def is_signalled() -> None:
            await until(lambda: name in heard)
            heard.clear()

        await is_signalled()
        await asyncio.to_thread(decline, api, payment)
        await is_signalled()
        checkout = await asyncio.to_thread(sandbox.pay, payment["orderId"])
        await asyncio.to_thread(verify, api, payment, checkout)
        await is_signalled()
        await asyncio.to_thread(request_refund, admin, payment, 100)
        await is_signalled()
        dispute = invented(checkout["razorpay_payment_id"], amount=100)
        await asyncio.to_thread(tell, api, "created", dispute)
        await is_signalled()
        await asyncio.to_thread(capture, api, payment)  # a second payment of the order: surplus
        await is_signalled()
