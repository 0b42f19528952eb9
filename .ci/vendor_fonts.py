"""Fetch the fonts of receipts from the npm registry and store them as TrueType files.

    python -m venv .fonts && .fonts/bin/pip install 'fonttools[woff]' && .fonts/bin/python .ci/vendor_fonts.py

`npm` checks each package against the hash that the registry has of it. VENDOR.json has where each file came from, and
a test compares its hash.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fontTools.merge import Merger
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

VERSION = "5.3.0"
RUPEE = 0x20B9
HOME = Path(__file__).parents[1] / "kernapay" / "payments" / "documents" / "fonts"
# The name of our file: the package, and which of its subsets at which weight.
FONTS = {
    "sans": ("noto-sans", ("latin", "latin-ext"), 400),
    "sans-bold": ("noto-sans", ("latin", "latin-ext"), 700),
    "latin-ext": ("noto-sans", ("latin-ext",), 400),
    "devanagari": ("noto-sans-devanagari", ("devanagari",), 400),
    "bengali": ("noto-sans-bengali", ("bengali",), 400),
    "gurmukhi": ("noto-sans-gurmukhi", ("gurmukhi",), 400),
    "gujarati": ("noto-sans-gujarati", ("gujarati",), 400),
    "oriya": ("noto-sans-oriya", ("oriya",), 400),
    "tamil": ("noto-sans-tamil", ("tamil",), 400),
    "telugu": ("noto-sans-telugu", ("telugu",), 400),
    "kannada": ("noto-sans-kannada", ("kannada",), 400),
    "malayalam": ("noto-sans-malayalam", ("malayalam",), 400),
    "ol-chiki": ("noto-sans-ol-chiki", ("ol-chiki",), 400),
    "meetei-mayek": ("noto-sans-meetei-mayek", ("meetei-mayek",), 400),
    "arabic": ("noto-naskh-arabic", ("arabic",), 400),
}


def fetch(package: str, place: Path) -> tuple[Path, str]:
    """Return the folder of a package, and its hash in the registry's form."""
    name = f"@fontsource/{package}"
    subprocess.run(  # noqa: S603
        ["npm", "pack", "--silent", f"{name}@{VERSION}"],  # noqa: S607
        cwd=place,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    archive = place / f"fontsource-{package}-{VERSION}.tgz"
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    shutil.unpack_archive(archive, place / package)
    return place / package / "package", f"sha512-{digest}"


def convert(folder: Path, package: str, subsets: tuple[str, ...], weight: int, to: Path) -> None:
    parts = []
    for subset in subsets:
        font = TTFont(folder / "files" / f"{package}-{subset}-{weight}-normal.woff2")
        font.flavor = None
        parts.append(folder / f"{subset}-{weight}.ttf")
        font.save(parts[-1])
    if len(parts) == 1:
        shutil.copyfile(parts[0], to)
        return
    # Of the second one, the rupee sign alone: a small font is read and cut to a document's letters much faster.
    letters = {*TTFont(parts[0]).getBestCmap(), RUPEE}
    font = Merger().merge([str(part) for part in parts])
    cutter = Subsetter(Options(layout_features=["*"]))
    cutter.populate(unicodes=letters)
    cutter.subset(font)
    font.save(to)


def main() -> None:
    HOME.mkdir(exist_ok=True)
    listed = {}
    with tempfile.TemporaryDirectory() as folder:
        known: dict[str, tuple[Path, str]] = {}
        licences = []
        for name, (package, subsets, weight) in FONTS.items():
            if package not in known:
                known[package] = fetch(package, Path(folder))
                text = (known[package][0] / "LICENSE").read_text()
                licences.append(f"{package}: {text.splitlines()[0]}")
            source, integrity = known[package]
            to = HOME / f"{name}.ttf"
            convert(source, package, subsets, weight, to)
            listed[to.name] = {
                "package": f"@fontsource/{package}",
                "version": VERSION,
                "integrity": integrity,
                "subsets": list(subsets),
                "weight": weight,
                "licence": "OFL-1.1",
                "sha256": hashlib.sha256(to.read_bytes()).hexdigest(),
            }
        terms = text.partition("\n")[2]
    (HOME / "OFL.txt").write_text("\n".join(licences) + "\n" + terms)
    (HOME / "VENDOR.json").write_text(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
