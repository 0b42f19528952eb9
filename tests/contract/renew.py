"""Record the contract anew: `python -m tests.contract.renew`, after a change of the API that is meant."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.checkout import ROOT
from tests.contract.changes import compare, has_releases, unexplained
from tests.contract.outline import outline_of, parse, render

RECORD: Final = Path(__file__).with_name("contract.txt")
CHANGELOG: Final = ROOT / "kernapay" / "docs" / "changelog.md"


def main() -> None:
    """Say what has changed, and write it. Refuse what breaks clients and is not in the changelog."""
    written = subprocess.run(
        [sys.executable, "-m", "kernapay", "openapi"], cwd=ROOT, capture_output=True, check=True
    )
    outline = outline_of(json.loads(written.stdout))
    changes = compare(parse(RECORD.read_text()) if RECORD.exists() else outline, outline)
    for change in changes:
        print("breaks clients:" if change.breaks else "no client breaks:", change.sentence)
    changelog = CHANGELOG.read_text()
    if has_releases(changelog) and (missing := list(unexplained(changes, changelog))):
        sys.exit(
            "Not recorded. Name what breaks under `### Breaking` of the newest version in "
            f"{CHANGELOG.relative_to(ROOT)}:\n" + "\n".join(missing)
        )
    RECORD.write_text(render(outline))
    print(f"{RECORD.relative_to(ROOT)}: {len(outline)} lines")


if __name__ == "__main__":
    main()
