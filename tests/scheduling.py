"""Which test files a worker gets together: those that would otherwise prepare the same thing each for itself."""

from typing import Final

from xdist.scheduler import LoadFileScheduling

_TOGETHER: Final = {
    "one stack of `kernapay dev`": (
        "tests/contract/test_demo.py",
        "tests/contract/test_listen.py",
        "tests/contract/test_readme.py",
        "tests/contract/test_snippets.py",
    ),
    "the syntax trees of all modules": (
        "tests/house/test_history.py",
        "tests/house/test_layout.py",
        "tests/house/test_storage.py",
    ),
}
_UNITS: Final = {file: why for why, files in _TOGETHER.items() for file in files}


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]
    """A file is one unit of work, or several files are."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _UNITS.get(file, file)
