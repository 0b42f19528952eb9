"""Everything that is shipped is listed with its licence, which may be handed on with MIT code."""

import json
import re
import subprocess
import sys
from hashlib import sha512
from pathlib import Path

import pytest

from tests.checkout import PACKAGE, ROOT
from tests.house.licences import contradicts, is_allowed, name_of, parts, shipped

PAGE = (PACKAGE / "docs" / "licences.md").read_text()
LISTED = dict(re.findall(r"^\| ([\w.-]+) \| ([^|]+?) \|$", PAGE, re.MULTILINE)[2:])
# Only where these are needed.
ELSEWHERE = {"async-timeout"}
SWAGGER = PACKAGE / "web" / "openapi" / "static" / "swagger"


def test_every_package_of_an_installation_is_listed() -> None:
    missing = [f"| {name} | … |" for name in sorted(set(shipped("tracing"))) if name not in LISTED]
    assert not missing, "\n".join(["Look up the licence, and add:", *missing])


def test_no_package_is_listed_that_nothing_needs() -> None:
    constraints = (ROOT / ".ci" / "constraints.txt").read_text()
    known = set(map(name_of, re.findall(r"^[\w.-]+(?===)", constraints, re.MULTILINE)))
    assert LISTED.keys() - known == set()
    assert LISTED.keys() - set(shipped("tracing")) - ELSEWHERE == set()


def test_packages_say_the_same_of_themselves() -> None:
    found = {
        name: said
        for name in sorted(set(shipped("tracing")))
        if (said := contradicts(name, LISTED[name]))
    }
    assert found == {}


def test_every_licence_may_be_handed_on_with_mit_code() -> None:
    assert [name for name, licence in LISTED.items() if not is_allowed(name, licence)] == []
    assert not is_allowed("another", "GPL-3.0-only")
    assert not is_allowed("another", "LGPL-3.0-only")
    assert not is_allowed("another", "MIT AND AGPL-3.0-only")
    assert is_allowed("another", "GPL-2.0-only OR MIT")
    assert parts("MIT AND Apache-2.0") == ["MIT", "Apache-2.0"]


@pytest.mark.soak
def test_the_bill_of_materials_names_what_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "sbom.json"
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci" / "sbom.py", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if "dns error" in ran.stderr or "error sending request" in ran.stderr:
        pytest.skip("no package index")
    assert ran.returncode == 0, ran.stderr
    bill = json.loads(path.read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "kernapay")
    named = {name_of(each["name"]) for each in bill["components"]}
    assert set(shipped()) - named == set()
    assert {"swagger-ui-dist", "htm", "@fontsource/noto-sans"} <= {
        each["name"] for each in bill["components"]
    }
    with_licence = {name_of(each["name"]) for each in bill["components"] if each.get("licenses")}
    assert len(with_licence) > 60


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("VENDOR.json")), ids=lambda path: path.parent.name
)
def test_what_was_copied_into_the_wheel_is_listed(path: Path) -> None:
    folder = path.parent.relative_to(ROOT).as_posix()
    assert f"`{folder}/`" in PAGE
    licences = re.findall(
        r"`([^`]+)`", next(line for line in PAGE.splitlines() if f"`{folder}/`" in line)
    )[1:]
    assert licences
    assert [name for name in licences if not (path.parent / name).is_file()] == []


def test_swagger_ui_is_as_it_was_published() -> None:
    listed = json.loads((SWAGGER / "VENDOR.json").read_text())
    for each in listed:
        assert sha512((SWAGGER / each["file"]).read_bytes()).hexdigest() == each["sha512"]
        assert all((SWAGGER / licence).is_file() for licence in each["licences"])
    files = {path.name for path in SWAGGER.iterdir()}
    others = {"VENDOR.json", "LICENSE", "NOTICE"}
    assert {name for name in files - others if not name.endswith(".LICENSE")} == {
        each["file"] for each in listed
    }


def test_files_of_others_stand_where_they_are_listed() -> None:
    """Fonts, bundles and minified code: nothing of the kind is anywhere else."""
    homes = {path.parent for path in PACKAGE.rglob("VENDOR.json")}
    foreign = [
        path
        for path in PACKAGE.rglob("*")
        if path.suffix in {".ttf", ".otf", ".woff", ".woff2", ".mjs"}
        or "bundle" in path.name
        or ".min." in path.name
    ]
    assert len(foreign) > 15
    assert [path for path in foreign if not homes & set(path.parents)] == []
