"""Write the software bill of materials of the wheel: `python .ci/sbom.py sbom.json`.

It names, as CycloneDX does, what an installation of the wheel contains: the packages at the releases of constraints.txt
as cyclonedx-py finds them in an environment that has nothing else, and what was copied into the wheel itself.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CYCLONEDX = "cyclonedx-bom==7.5.0"
UV = (sys.executable, "-m", "uv")


def main(output: Path) -> None:
    """Build the wheel, install it alone, and list what is there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
        subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        (wheel,) = home.glob("*.whl")
        python = home / "venv" / "bin" / "python"
        constraints = ROOT / ".ci" / "constraints.txt"
        listing = home / "sbom.json"
        tool = ("tool", "run", "--quiet", "--from", CYCLONEDX, "cyclonedx-py", "environment")
        for arguments in (
            ("venv", "--quiet", "--python", sys.executable, str(home / "venv")),
            (
                "pip",
                "install",
                "--quiet",
                "--python",
                str(python),
                "-c",
                str(constraints),
                str(wheel),
            ),
            (
                *tool,
                "--output-reproducible",
                "--pyproject",
                str(ROOT / "pyproject.toml"),
                "-o",
                str(listing),
                str(python),
            ),
        ):
            subprocess.run([*UV, *arguments], cwd=home, check=True)  # noqa: S603
        bill = json.loads(listing.read_text())
        # The wheel is what is described, not a part of itself; its path was a temporary one.
        bill["components"] = [each for each in bill["components"] if each["name"] != "kernapay"]
        bill["components"] += copied()
        output.write_text(json.dumps(bill, indent=2) + "\n")


def copied() -> list[dict[str, object]]:
    """Return what stands in the wheel itself and was written by others."""
    components: list[dict[str, object]] = []
    for path in sorted(ROOT.glob("kernapay/**/VENDOR.json")):
        listed = json.loads(path.read_text())
        if isinstance(listed, dict):
            listed = [{"file": name, **each} for name, each in listed.items()]
        for each in listed:
            name, version = each["package"], each["version"]
            place = (path.parent / each["file"]).relative_to(ROOT).as_posix()
            components.append(
                {
                    "type": "library",
                    "bom-ref": place,
                    "name": name,
                    "version": version,
                    "purl": f"pkg:npm/{name.replace('@', '%40')}@{version}",
                    "description": place,
                }
            )
    return components


if __name__ == "__main__":
    main(Path(sys.argv[1]))
