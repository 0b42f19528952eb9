"""The files of migrations, as they are on disk."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class MigrationError(Exception):
    """The database, the files or the lock do not allow what was asked for; `fix` says what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}. Fix: {fix}")
        self.problem = problem
        self.fix = fix


class Migration(NamedTuple):
    name: str
    checksum: str
    path: Path

    def load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"kernapay_migration_{self.name}", self.path)
        if spec is None or spec.loader is None:
            raise MigrationError(f"{self.path} is not a Python module", "restore the file.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def migrations_folder() -> Path:
    """Return the folder of the migrations: beside the package in a checkout, inside it in an installation."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def read_migrations(folder: Path | None = None) -> list[Migration]:
    """Return the migrations of this version, in the order in which they are applied."""
    return [
        Migration(path.stem, hashlib.sha256(path.read_bytes()).hexdigest(), path)
        for path in sorted((folder or migrations_folder()).glob("[0-9]*.py"))
    ]
