"""Which build this is, as `kernapay --version` says it."""

from pathlib import Path

import pytest

from kernapay.core.build import commit

COMMIT = "6ab5086e8ec7162be41b4bd620905f98422988bb"


@pytest.mark.parametrize(
    "files",
    [
        {"kernapay/COMMIT": COMMIT, ".git/HEAD": "0" * 40},
        {".git/HEAD": COMMIT},
        {".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": COMMIT},
        {
            ".git/HEAD": "ref: refs/heads/main",
            ".git/packed-refs": f"# pack-refs\n{'1' * 40} refs/heads/old-main\n{COMMIT} refs/heads/main",
        },
    ],
    ids=["wheel", "detached", "branch", "packed branch"],
)
def test_the_commit_is_the_wheels_or_gits(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert commit(tmp_path / "kernapay") == COMMIT


def test_without_git_there_is_none(tmp_path: Path) -> None:
    assert commit(tmp_path / "kernapay") is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/gone\n")
    assert commit(tmp_path / "kernapay") is None
