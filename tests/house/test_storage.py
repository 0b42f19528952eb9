"""Who may ask the stores what: the rules of the design that no import contract can state."""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.models import Payment
from kernapay.payments.repository import PaymentRepository
from kernapay.storage.mongo import Record
from kernapay.storage.redis import RedisStore
from kernapay.storage.repository import ReadOnlyRepository, Repository
from tests.aliases import Store
from tests.checkout import PACKAGE, SOURCES, imports_of, module_of, nodes_of
from tests.house.documents import every_document, subclasses_of

STORAGE = PACKAGE / "storage"
SANDBOX = PACKAGE / "sandbox"  # another program, without MongoDB and Redis
# Only the ledger may import the other ones (an import contract).
LEDGER = {
    PACKAGE / "payments" / name
    for name in (
        *("ledger.py", "payout_ledger.py", "surplus_ledger.py", "refund_ledger.py"),
        *("announcing_ledger.py", "import_ledger.py", "move_ledger.py", "changes.py", "history.py"),
    )
}
REDIS_MODULES = {
    STORAGE / f"{name}.py"
    for name in ("redis", "redis_clients", "redis_connection", "redis_pipelines")
}
NOWHERE = "redis://127.0.0.1:1/0"

# MongoEngine's words for a change stand before a field, those for a condition behind it.
KEYWORD = re.compile(
    r"(set|unset|inc|dec|mul|push|push_all|pull|pull_all|pop|add_to_set|set_on_insert|rename|min|max)__\w*"
    r"|\w*__(in|nin|ne|not|lt|lte|gt|gte|exists|size|all|mod|type|match|i?(exact|contains|startswith|endswith|regex))"
    r"|__raw__"
)
# What a database is called where somebody holds one.
DATABASES = {"database", "db", "store", "get_db", "get_database", "get_default_database"}


def mongoengine_keywords(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield MongoEngine's keywords: as names of arguments, or in texts such as the keys of a mapping."""
    for node in nodes:
        if isinstance(node, ast.keyword):
            word: object = node.arg
        elif isinstance(node, ast.Constant):
            word = node.value
        else:
            continue
        if isinstance(word, str) and KEYWORD.fullmatch(word):
            yield word


def may_ask_mongodb(path: Path) -> bool:
    return path.name == "repository.py" or path in LEDGER or STORAGE in path.parents


def test_conditions_and_changes_are_written_in_repositories_only() -> None:
    asking = {module_of(path) for path in SOURCES if any(mongoengine_keywords(nodes_of(path)))}
    allowed = {module_of(path) for path in SOURCES if may_ask_mongodb(path)}
    assert len(asking) > 5, "the keywords were not found"
    assert asking - allowed == set()


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("users.update_where({'id': 1}, set__name='Asha')", "set__name"),
        ("users.update_where({'id': 1}, unset__token=1, name=2)", "unset__token"),
        ("change['push__history'] = step", "push__history"),
        ("change = {'inc__attempts': 1}", "inc__attempts"),
        ("dict(add_to_set__orders=[1])", "add_to_set__orders"),
        ("{f'set__{name}': 1}", "set__"),
        ("users.list(id__ne=1)", "id__ne"),
        ("users.list(status__in=PAID)", "status__in"),
        ("where = {'created_at__lt': at}", "created_at__lt"),
        ("where[f'{name}__gte'] = at", "__gte"),
        ("users.list(__raw__={})", "__raw__"),
        ("{**where, '__raw__': {'$expr': 1}}", "__raw__"),
    ],
)
def test_a_condition_or_change_is_found_wherever_it_stands(code: str, word: str) -> None:
    assert list(mongoengine_keywords(ast.walk(ast.parse(code)))) == [word]


def test_other_names_with_underscores_are_no_keywords() -> None:
    code = "__all__ = ['__init__', '__main__', 'reset__', 'a__b', 'set_name', 'in', 'set of __x']"
    assert list(mongoengine_keywords(ast.walk(ast.parse(code)))) == []


def writers_of(model: type[Record]) -> set[type]:
    """Return the classes that have the verbs that write, for this document."""
    return {each for each in subclasses_of(Repository) if getattr(each, "model", None) is model}


def test_one_class_writes_to_the_payments() -> None:
    for path in SOURCES:
        if "kernapay.storage.repository" in imports_of(path):
            importlib.import_module(module_of(path))
    ours = {each for each in writers_of(Payment) if each.__module__.startswith("kernapay.")}
    assert ours == {PaymentLedger}


def test_a_second_class_that_writes_to_the_payments_would_be_found() -> None:
    class Second(PaymentLedger):
        pass

    class Third(Repository[Payment]):
        model = Payment

    assert {Second, Third} <= writers_of(Payment)


def test_the_repository_of_payments_only_reads() -> None:
    verbs = {name for name in vars(Repository) if not name.startswith("__")}
    assert {"add", "add_or_get", "update_where", "delete_where"} <= verbs
    assert [name for name in verbs if hasattr(PaymentRepository, name)] == []
    assert issubclass(PaymentRepository, ReadOnlyRepository)


def names_collection(nodes: Iterable[ast.AST], collection: str) -> Iterator[str]:
    """Yield the expressions that take a collection by its name out of a database."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == collection:
            holder: ast.expr = node.value
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and node.slice.value == collection
        ):
            holder = node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("get_collection", "create_collection", "drop_collection")
            and any(isinstance(a, ast.Constant) and a.value == collection for a in node.args)
        ):
            yield ast.unparse(node)
            continue
        else:
            continue
        if isinstance(holder, ast.Subscript) or last_name(holder) in DATABASES:
            yield ast.unparse(node)


def last_name(expression: ast.expr) -> str:
    if isinstance(expression, ast.Call):
        expression = expression.func
    name = ast.unparse(expression).rpartition(".")[2]
    return name.lstrip("_")


def test_nobody_takes_the_payments_past_their_classes() -> None:
    named = [
        f"{module_of(path)}: {expression}"
        for path in SOURCES
        if SANDBOX not in path.parents
        for expression in names_collection(nodes_of(path), "payments")
    ]
    assert named == []


@pytest.mark.parametrize(
    "code",
    [
        "database().payments.update_one({}, {})",
        "database()['payments'].find()",
        "db.payments",
        "self._db['payments']",
        "self._database.payments.drop()",
        "mongo.get_db().payments",
        "client.get_default_database()['payments']",
        "client['kernapay']['payments']",
        "db.get_collection('payments', write_concern=durable)",
    ],
)
def test_a_collection_that_is_taken_by_its_name_is_found(code: str) -> None:
    assert list(names_collection(ast.walk(ast.parse(code)), "payments"))


@pytest.mark.parametrize("code", ["totals['payments'] += 1", "client.order.payments(order_id)"])
def test_other_things_of_that_name_are_no_collection(code: str) -> None:
    assert list(names_collection(ast.walk(ast.parse(code)), "payments")) == []


def test_the_database_itself_is_held_by_the_storage_and_by_commands_only() -> None:
    """`database()[name]` could be any collection."""
    doors = {"kernapay.storage.mongo.database", "kernapay.storage.mongo.open_database"}
    holding = {module_of(path) for path in SOURCES if doors & imports_of(path)}
    assert holding
    assert [
        module
        for module in holding
        if not module.startswith(("kernapay.storage.", "kernapay.commands."))
    ] == []


def redis_parts(value: object) -> list[str]:
    """Return the public attributes of an object that are of the Redis library."""
    return [
        name
        for name in dir(value)
        if not name.startswith("_")
        and any(each.__module__.startswith("redis") for each in type(getattr(value, name)).__mro__)
    ]


@pytest.mark.anyio
async def test_the_redis_store_shows_nobody_its_client() -> None:
    store = RedisStore(NOWHERE)
    try:
        assert redis_parts(store) == []
    finally:
        await store.close()


@pytest.mark.anyio
async def test_a_store_that_shows_its_client_would_be_noticed() -> None:
    class Indiscreet(RedisStore):
        @property
        def client(self) -> object:
            return self._client

    store = Indiscreet(NOWHERE)
    try:
        assert redis_parts(store) == ["client"]
    finally:
        await store.close()


# Under these names the client, and the Lua script that knows it, could be reached from outside.
HIDDEN = {"_client", "registered_client", "connection_pool"}


def reached(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the expressions that reach for a client behind another object."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in HIDDEN:
            if ast.unparse(node.value) != "self":
                yield ast.unparse(node)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "getattr"
            and any(isinstance(each, ast.Constant) and each.value in HIDDEN for each in node.args)
        ):
            yield ast.unparse(node)


def test_nobody_reaches_for_the_client_behind_the_redis_store() -> None:
    found = [
        f"{module_of(path)}: {expression}"
        for path in SOURCES
        if SANDBOX not in path.parents and path not in REDIS_MODULES
        for expression in reached(nodes_of(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "redis._client.get('a')",
        "self._redis._client.delete(key)",
        "script.registered_client.flushall()",
        "getattr(redis, '_client')",
    ],
)
def test_reaching_for_the_client_is_found(code: str) -> None:
    assert list(reached(ast.walk(ast.parse(code))))


def test_every_unique_field_has_a_unique_index(store: Store) -> None:
    """Look-ups by them ask for many values at once, and take what they find for at most one row each."""
    looked_up = 0
    for model in every_document():
        if not issubclass(model, Record):
            continue
        indexes = store[model._get_collection_name()].index_information().values()
        unique = {each["key"][0][0] for each in indexes if each.get("unique")}
        for name in model.unique_fields - {"id"}:
            assert model._fields[name].db_field in unique, f"{model.__name__}.{name}"
            looked_up += 1
    assert looked_up
