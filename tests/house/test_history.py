"""A change of a payment and the order to tell of it are one write: nothing adds a step without the marker."""

import ast
from collections.abc import Iterable, Iterator

import pytest

from tests.aliases import Json
from tests.checkout import PACKAGE, SOURCES, module_of, nodes_of
from tests.untold_steps import leaves_untold

PUSH: Json = {"$push": {"history": {"status": "success"}}}
STEP: Json = {"$concatArrays": ["$history", [{"status": "success"}]]}
# A program of its own, which knows no history.
_SANDBOX = PACKAGE / "sandbox"


def history_writes(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the words that change a history: MongoEngine's, and the name of the field in a stage or an operator."""
    for node in nodes:
        if isinstance(node, ast.keyword | ast.Constant):
            word = node.arg if isinstance(node, ast.keyword) else node.value
            if isinstance(word, str) and word.endswith("__history"):
                yield word
        elif isinstance(node, ast.Dict):
            names = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            yield from (name for name in names if name == "history")


def test_one_module_writes_to_the_history() -> None:
    writing = {
        module_of(path)
        for path in SOURCES
        if _SANDBOX not in path.parents and any(history_writes(nodes_of(path)))
    }
    # The second one only asks for its length.
    assert writing == {"kernapay.payments.history", "kernapay.payments.announcing_ledger"}


@pytest.mark.parametrize(
    "code",
    [
        "self.update_if(key, {}, push__history=step)",
        "self.update_if(key, {}, push_all__history=steps)",
        "change['set__history'] = []",
        "[{'$set': {'history': steps}}]",
    ],
)
def test_a_write_to_the_history_is_found_wherever_it_stands(code: str) -> None:
    assert list(history_writes(ast.walk(ast.parse(code))))


@pytest.mark.parametrize(
    ("update", "is_untold"),
    [
        (PUSH, True),
        ({"$push": {"history": {"status": "success", "event": "imported"}}}, False),
        ({**PUSH, "$set": {"status": "success"}}, True),
        ({**PUSH, "$set": {"status": "success", "announce": 1}}, False),
        ({"$unset": {"history.0.reason": ""}}, True),
        ([{"$set": {"refunds": []}}, {"$set": {"history": STEP}}], True),
        ([{"$set": {"refunds": []}}, {"$set": {"history": STEP, "announce": 1}}], False),
        ({"$set": {"announced": 2}, "$unset": {"announce": ""}}, False),
    ],
)
def test_an_update_that_leaves_a_step_untold_is_found(update: object, is_untold: bool) -> None:
    as_update = {"ns": "shop.payments", "op": "update", "command": {"q": {}, "u": update}}
    as_command = {"ns": "shop.payments", "op": "command", "command": {"update": update}}
    elsewhere = {**as_update, "ns": "shop.users"}
    found = [leaves_untold(entry) for entry in (as_update, as_command, elsewhere)]
    assert found == [is_untold, is_untold, False]
