"""Where things live: the rules of the house that no linter knows."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mongoengine
import pytest
from mongoengine.base import BaseDocument

from kernapay.storage.mongo import Record

PACKAGE = Path(__file__).parents[2] / "kernapay"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SLICES = sorted(path.parent for path in PACKAGE.glob("*/controller.py"))
# From the outside in; a module may import what stands to its right.
ORDER = ("controller", "service", "repository", "models")
TOP_LEVEL = {"kernapay", "migrations", "tests", "pyproject.toml", "README.md", "compose.yaml"}
# Programs of their own, which talk to whoever runs them.
TALKATIVE = ("commands", "devstack", "sandbox")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def calls_in(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            name = node.func
            if isinstance(name, ast.Name):
                yield name.id
            elif isinstance(name, ast.Attribute):
                yield name.attr


def ours(path: Path, folders: tuple[str, ...]) -> bool:
    return path.relative_to(PACKAGE).parts[0] in folders


def test_the_top_level_is_fixed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    names = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} == {*TOP_LEVEL, "LICENSE"}


def test_no_module_is_too_long() -> None:
    lengths = {module_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_packages_export_nothing() -> None:
    filled = [path for path in PACKAGE.rglob("__init__.py") if path.read_text()]
    assert filled == [PACKAGE / "__init__.py"], "of these, only the version's has content"


def test_the_service_prints_nothing() -> None:
    """What it has to say goes to the log, where secrets are blanked."""
    printing = [
        module_of(path)
        for path in SOURCES
        if not ours(path, TALKATIVE) and {"print", "echo"} & set(calls_in(path))
    ]
    assert printing == []


def test_indexes_are_born_in_migrations_only() -> None:
    makers = {"create_index", "create_indexes", "ensure_index", "ensure_indexes"}
    born = [module_of(path) for path in SOURCES if makers & set(calls_in(path))]
    assert born == []


def every_document() -> list[type[BaseDocument]]:
    for folder in SLICES:
        if (folder / "models.py").exists():
            __import__(f"kernapay.{folder.name}.models")
    todo: list[type[BaseDocument]] = [Record, mongoengine.EmbeddedDocument]
    found: list[type[BaseDocument]] = []
    while todo:
        model = todo.pop()
        todo.extend(model.__subclasses__())
        if model.__module__.startswith("kernapay.") and not model._meta.get("abstract"):
            found.append(model)
    return found


@pytest.mark.parametrize("model", every_document(), ids=lambda model: str(model.__name__))
def test_no_document_makes_indexes_by_itself(model: type[BaseDocument]) -> None:
    if issubclass(model, Record):
        assert model._meta["auto_create_index"] is False
    assert not [
        index for index in model._meta.get("index_specs") or () if index["fields"] != [("_id", 1)]
    ]
    assert [
        name for name, field in model._fields.items() if field.unique and not field.primary_key
    ] == []


@pytest.mark.parametrize("model", every_document(), ids=lambda model: str(model.__name__))
def test_no_document_has_reference_fields(model: type[BaseDocument]) -> None:
    """Reading such an attribute would ask the database, wherever that happens."""
    lazy = (mongoengine.ReferenceField, mongoengine.GenericReferenceField)
    assert [name for name, field in model._fields.items() if isinstance(field, lazy)] == []


@pytest.mark.parametrize("folder", SLICES, ids=lambda folder: str(folder.name))
def test_a_slice_imports_inwards_only(folder: Path) -> None:
    """HTTP knows decisions, decisions know queries, and nothing knows the way back."""
    wrong = []
    for place, name in enumerate(ORDER):
        for inner in ORDER[place + 1 :]:
            path = folder / f"{inner}.py"
            if path.exists() and f"kernapay.{folder.name}.{name}" in imports_of(path):
                wrong.append(f"{inner} imports {name}")
    assert wrong == []


def test_controllers_are_imported_by_the_application_only() -> None:
    importers = {
        module_of(path)
        for folder in SLICES
        for path in SOURCES
        if path.parent != folder and f"kernapay.{folder.name}.controller" in imports_of(path)
    }
    assert importers == {"kernapay.app"}


def test_services_know_nothing_of_http() -> None:
    services = [
        path for path in SOURCES if path.name in ("service.py", "repository.py", "models.py")
    ]
    assert len(services) > 5
    knowing = [
        module_of(path)
        for path in services
        if not ours(path, ("sandbox",))
        and any(name.startswith("litestar") for name in imports_of(path))
    ]
    assert knowing == []
