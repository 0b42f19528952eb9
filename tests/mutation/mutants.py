"""The mutants of a module: which there are, what became of each, and what each changes."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Final

import msgspec
from mutmut.configuration import reset_config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name, orig_function_and_class_names_from_key

from tests.mutation.survivors import Change

UNDECIDED: Final = ("not checked", "check was interrupted by user", "segfault")
ALIVE: Final = ("survived", "no tests", "suspicious")


class _Meta(msgspec.Struct):
    exit_code_by_key: dict[str, int | None]


class Mutants:
    """The mutants of one module, of which a run may try a share, chosen by a seed."""

    def __init__(self, place: Path, module: str, share: float, seed: int) -> None:
        self._place = place
        self._path = Path("kernapay", module)
        with chdir(place):
            reset_config()
            source = self._path.read_text()
            names = mutate_file_contents(str(self._path), source).mutant_names
        every = [get_mutant_name(self._path, name) for name in names]
        self.total = len(every)
        count = max(1, round(share * len(every))) if every else 0
        self.chosen: Sequence[str] = sorted(random.Random(seed).sample(every, count))

    def statuses(self) -> dict[str, str]:
        """Return what became of each chosen mutant."""
        meta = self._place / "mutants" / f"{self._path}.meta"
        try:
            codes = msgspec.json.decode(meta.read_bytes(), type=_Meta).exit_code_by_key
        except (FileNotFoundError, msgspec.DecodeError):
            codes = {}  # not generated yet, or being written
        return {name: str(status_by_exit_code[codes.get(name)]) for name in self.chosen}

    def counts(self) -> Counter[str]:
        return Counter(self.statuses().values())

    def undecided(self) -> list[str]:
        return [name for name, status in self.statuses().items() if status in UNDECIDED]

    def alive(self) -> list[str]:
        return [name for name, status in self.statuses().items() if status in ALIVE]

    def change_of(self, name: str) -> Change:
        with chdir(self._place):
            reset_config()
            diff: str = get_diff_for_mutant(name, path=self._path)
        lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
        function, class_name = orig_function_and_class_names_from_key(name)
        return Change(
            f"{class_name}.{function}" if class_name else str(function),
            _join(line[1:] for line in lines if line.startswith("-")),
            _join(line[1:] for line in lines if line.startswith("+")),
        )


def _join(lines: Iterable[str]) -> str:
    return " ".join(line.strip() for line in lines)
