"""The files of the console: those of others as they came, and our own without a way for text to become markup."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from kernapay.deliveries.models import EventType
from kernapay.security.principal import Scope
from tests.checkout import PACKAGE

STATIC = PACKAGE / "console" / "static"
OURS = sorted((*STATIC.glob("*.js"), STATIC / "index.html"))
# What makes markup or code of text, what outlives the tab, and what the policy refuses.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\b|new Function"
    r"|javascript:|localStorage|\bstyle=|https?://"
)


def test_files_of_others_are_as_they_were_published_and_have_their_licences() -> None:
    listed = json.loads((STATIC / "VENDOR.json").read_text())
    for each in listed:
        held = (STATIC / each["file"]).read_bytes()
        assert hashlib.sha512(held).hexdigest() == each["sha512"], each["file"]
        for licence in each["licences"]:
            assert len((STATIC / licence).read_text()) > 500, licence
    foreign = [path for folder in ("vendor", "fonts") for path in (STATIC / folder).iterdir()]
    files = {path.relative_to(STATIC).as_posix() for path in foreign if path.suffix != ".LICENSE"}
    assert files == {each["file"] for each in listed}


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.name))
def test_no_file_of_ours_makes_markup_of_text_or_asks_elsewhere(path: Path) -> None:
    assert FORBIDDEN.findall(path.read_text()) == []


def test_every_scope_and_every_type_of_events_can_be_chosen() -> None:
    keys, endpoints = ((STATIC / name).read_text() for name in ("keys.js", "endpoints.js"))
    assert set(re.findall(r'\["([a-z]+:[a-z]+)", "', keys)) == set(Scope)
    offered = {*EventType} - {EventType.ENDPOINT_TEST}
    assert set(re.findall(r'"([a-z]+\.[a-z_]+)"', endpoints)) == offered


def imported_with(name: str, seen: set[str]) -> set[str]:
    """Return the modules that a module cannot do without, which those are not that come when their page is opened."""
    if name not in seen:
        seen.add(name)
        if (STATIC / name).exists():
            text = (STATIC / name).read_text()
            for other in re.findall(r'^import .* from "\./([^"]+)";', text, re.MULTILINE):
                imported_with(other, seen)
    return seen


def test_the_first_view_is_small() -> None:
    modules = imported_with("app.js", set())
    assert {"payments.js", "standalone.mjs"} < modules
    ours = (STATIC / name for name in modules if name != "standalone.mjs")
    sent = (*ours, STATIC / "index.html", *STATIC.glob("vendor/*.mjs"), *STATIC.glob("*.css"))
    text = sum(len(gzip.compress(path.read_bytes(), 5)) for path in sent)
    fonts = sum(path.stat().st_size for path in STATIC.glob("fonts/*.woff2"))
    assert text + fonts < 100_000
