"""What the guide says of the house is there."""

import re
from pathlib import Path


def test_every_file_of_the_contributors_table_exists(repository: Path) -> None:
    text = (repository / "kernapay" / "docs" / "contributing.md").read_text()
    section = text[text.index("| looking for | it is in |") :].split("\n\n")[0]
    files = re.findall(r"`([a-z_/]+\.py)`", section)
    assert len(files) >= 10
    assert [file for file in files if not (repository / "kernapay" / file).is_file()] == []


def test_every_room_is_named(repository: Path) -> None:
    text = (repository / "kernapay" / "docs" / "contributing.md").read_text()
    plan = text.split("```")[1]
    rooms = {path.parent.name for path in (repository / "kernapay").glob("*/__init__.py")}
    assert rooms - set(re.findall(r"(\w+)/", plan)) == set()
