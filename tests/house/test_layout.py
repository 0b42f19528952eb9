"""Where things live: the rules of the house that no linter knows."""

import ast
import subprocess
import sys
from pathlib import Path

import mongoengine
import pytest
from mongoengine.base import BaseDocument

from kernapay.storage.mongo import Record
from tests.checkout import PACKAGE, ROOT, SOURCES, calls_in, imports_of, module_of, nodes_of
from tests.house.documents import every_document

TESTS = sorted((ROOT / "tests").rglob("*.py"))
SLICES = sorted(path.parent for path in PACKAGE.glob("*/controller.py"))
# From the outside in; a module may import what stands to its right.
ORDER = ("controller", "service", "repository", "models")
TOP_LEVEL = {
    *("kernapay", "migrations", "tests"),
    *("pyproject.toml", "README.md", "compose.yaml"),
}
# Programs of their own, which talk to whoever runs them.
TALKATIVE = ("commands", "devstack", "sandbox")


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


def test_nothing_is_tracked_that_is_made_again() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    assert listed.stdout == ""


@pytest.mark.parametrize(
    "path",
    [
        "kernapay/__pycache__/app.cpython-311.pyc",
        "tests/contract/.schemathesis/cache",
        "tests/.hypothesis/examples",
        ".coverage.host.1234",
        ".kernapay/files/receipt.pdf",
        ".env.payment",
    ],
)
def test_what_runs_leave_behind_is_ignored(path: str) -> None:
    ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False)
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert ignored.returncode == 0


def test_tests_import_each_other_by_their_whole_names() -> None:
    """So nothing depends on the folders that pytest puts on the path."""
    short = [
        f"{module_of(path)}: {name}"
        for path in TESTS
        for name in imports_of(path)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and (path.parent / f"{name.partition('.')[0]}.py").exists()
    ]
    relative = [
        module_of(path)
        for path in TESTS
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert (short, relative) == ([], [])


def test_what_tests_share_stands_outside_the_modules_of_tests() -> None:
    importing = [
        f"{module_of(path)}: {name}"
        for path in TESTS
        for name in imports_of(path)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]
    assert importing == []


def test_no_module_is_too_long() -> None:
    lengths = {module_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


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
    # It makes those again that were lost: as the migrations made them.
    assert born == ["kernapay.storage.migrations"]


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
