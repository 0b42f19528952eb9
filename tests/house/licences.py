"""What an installation of the wheel contains, and under which licences, by the packages' own word."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final

from packaging.requirements import Requirement

ALLOWED: Final = {
    *("MIT", "MIT-0", "MIT-CMU", "ISC", "Unlicense", "PSF-2.0"),
    *("BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "OFL-1.1"),
}
"""What may be handed on with MIT code, as long as notices are kept."""
EXCEPTIONS: Final = {"certifi": "MPL-2.0", "fpdf2": "LGPL-3.0-only"}
"""Packages that are used as they are published, beside ours: the page says why that is allowed."""
# How packages say it that have no `License-Expression`: in a line of text or in classifiers.
_WORDS: Final = {
    "MIT": "mit",
    "BSD-2-Clause": "bsd",
    "BSD-3-Clause": "bsd",
    "Apache-2.0": "apache",
    "PSF-2.0": "psf|python software",
    "MPL-2.0": "mpl",
    "Unlicense": "unlicense",
    "LGPL-3.0-only": "lgpl",
}


def name_of(text: str) -> str:
    return re.sub("[-_.]+", "-", text).lower()


def shipped(*extras: str) -> Iterator[str]:
    """Yield the names of all packages that the installation of the wheel brings here."""
    waiting = [Requirement(f"kernapay[{','.join(extras)}]")]
    seen = set()
    while waiting:
        wanted = waiting.pop()
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        for text in found.requires or ():
            each = Requirement(text)
            asked = ["", *wanted.extras]
            if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in asked):
                key = (name_of(each.name), frozenset(each.extras))
                if key not in seen:
                    seen.add(key)
                    waiting.append(each)
                    yield key[0]


def contradicts(name: str, listed: str) -> str | None:
    """Return what the package says of itself, if that is not the licence that is listed."""
    about = distribution(name).metadata
    for expression in about.get_all("License-Expression") or ():
        return None if expression == listed else str(expression)
    classifiers = [each for each in about.get_all("Classifier") or () if each.startswith("License")]
    said = " ".join([*(about.get_all("License") or ()), *classifiers]).lower()
    if any(re.search(_WORDS[part], said) for part in parts(listed)):
        return None
    return said[:80] or "nothing"


def parts(expression: str) -> list[str]:
    return re.split(" AND | OR ", expression)


def is_allowed(name: str, expression: str) -> bool:
    """Return whether one side of each OR is allowed. Expressions have no brackets."""
    if EXCEPTIONS.get(name) == expression:
        return True
    return any(set(side.split(" AND ")) <= ALLOWED for side in expression.split(" OR "))
