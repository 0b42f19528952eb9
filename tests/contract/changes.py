"""Whether a change of the contract breaks clients, in one sentence for each."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.contract.outline import Outline

_REQUIRED: Final = ", required"
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


class Change(NamedTuple):
    breaks: bool
    sentence: str


def compare(before: Outline, after: Outline) -> list[Change]:
    """Return what is different. What breaks clients comes first."""
    changes = [
        *(_removed(about) for about in before if about not in after),
        *(_added(about, what) for about, what in after.items() if about not in before),
        *(
            _changed(about, before[about], what)
            for about, what in after.items()
            if about in before and before[about] != what
        ),
    ]
    return sorted(changes, key=lambda change: (not change.breaks, change.sentence))


def _removed(about: str) -> Change:
    # Fewer values and fewer limits: whoever could bear more of them can bear these.
    is_less = about.startswith(("problems ", "limit ")) or _is_value(about, "got")
    return Change(not is_less, f"`{_thing(about)}` is gone")


def _added(about: str, what: str) -> Change:
    narrows = about.startswith("limit ")
    demands = about.startswith(("parameter ", "sent ")) and what.endswith(_REQUIRED)
    reason = "is required now, and was unknown" if demands else "is new"
    return Change(narrows or demands or about.startswith("body "), f"`{_thing(about)}` {reason}")


def _changed(about: str, before: str, after: str) -> Change:
    sentence = f"`{_thing(about)}` was {before or 'there'} and is {after or 'there'}"
    if about.startswith("limit "):
        return Change(_narrows(about, before, after), sentence)
    if about.startswith(("call ", "problems ")):
        return Change(False, sentence)
    was, now = _parts(before), _parts(after)
    if about.startswith(("sent ", "parameter ")):
        demands = after.endswith(_REQUIRED) and not before.endswith(_REQUIRED)
        return Change(demands or not was <= now, sentence)
    may_miss = before.endswith(_REQUIRED) and not after.endswith(_REQUIRED)
    return Change(may_miss or not now <= was, sentence)


def _narrows(about: str, before: str, after: str) -> bool:
    limit = about.rpartition(" ")[2]
    if limit in _LOWER:
        return float(after) > float(before)
    return float(after) < float(before) if limit in _UPPER else True


def _parts(what: str) -> set[str]:
    return set(what.removesuffix(_REQUIRED).split("|"))


def _is_value(about: str, side: str) -> bool:
    return about.startswith(f"{side} ") and " value " in about


def _thing(about: str) -> str:
    """Return what a reader calls it."""
    return re.sub("^call ", "", about)


def unexplained(changes: list[Change], changelog: str) -> Iterator[str]:
    """Yield what breaks clients and is not named under `### Breaking` of the changelog's first version."""
    newest = changelog.partition("\n## ")[2].partition("\n## ")[0]
    told = newest.partition("\n### Breaking\n")[2].partition("\n### ")[0]
    for change in changes:
        thing = change.sentence.split("`")[1]
        names = {
            thing,
            thing.rpartition(" of ")[2],
            re.sub(r"^(limit |sent |got )+", "", thing).split(" ")[0],
        }
        if change.breaks and not any(f"`{name}`" in told for name in names):
            yield change.sentence


def has_releases(changelog: str) -> bool:
    """Return whether any version was released: before, nothing can break."""
    return any(
        "not released" not in title for title in re.findall("^## (.+)", changelog, re.MULTILINE)
    )
