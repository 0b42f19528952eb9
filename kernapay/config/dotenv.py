"""Files of variables, read as Node's `dotenv` reads them: one file may serve KernaPay and a Node service."""

import re
from pathlib import Path
from typing import Final, NamedTuple

# JavaScript's white space and line ends. Python's `\s`, `^`, `$` and `.` know others.
_SPACE: Final = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_START: Final = "(?<![^\n\u2028\u2029])"
_END: Final = "(?![^\n\u2028\u2029])"
# dotenv's own expressions (LINE and the one for quotes, the same in versions 15 to 18), with a group for the comment.
_LINE: Final = re.compile(
    rf"{_START}[{_SPACE}]*(?:export[{_SPACE}]+)?([A-Za-z0-9_.-]+)(?:[{_SPACE}]*=|:[{_SPACE}]+?)"
    rf"([{_SPACE}]*'(?:\\'|[^'])*'|[{_SPACE}]*\"(?:\\\"|[^\"])*\"|[{_SPACE}]*`(?:\\`|[^`])*`|[^#\r\n]+)?"
    rf"[{_SPACE}]*(#[^\n\r\u2028\u2029]*)?{_END}"
)
_QUOTED: Final = re.compile(rf"{_START}(['\"`])(.*)\1{_END}", re.DOTALL)
_TRIMMED: Final = re.compile(rf"^[{_SPACE}]+|[{_SPACE}]+\Z")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


class EnvFile(NamedTuple):
    """The variables of a file, and the names of those whose value ends where a `#` follows it at once."""

    variables: dict[str, str]
    cut: frozenset[str]


def read_env_file(path: Path) -> EnvFile:
    """Read a file, or nothing if there is none. Raises ValueError, which names no value, if it is not UTF-8 text."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return EnvFile({}, frozenset())
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if content.startswith(_UTF_16) or b"\0" in content:
        raise ValueError("is UTF-16 or not a text file. Fix: save it as UTF-8.")
    try:
        return parse(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"is not UTF-8, but perhaps Latin-1: see line {line}. Fix: save it as UTF-8."
        ) from None


def parse(text: str) -> EnvFile:
    """Return the variables of a file's text. The last one of a name wins."""
    variables: dict[str, str] = {}
    cut: set[str] = set()
    for line in _LINE.finditer(re.sub("\r\n?", "\n", text)):
        name, written = line[1], _TRIMMED.sub("", line[2] or "")
        value = _QUOTED.sub(r"\2", written)
        if written.startswith('"'):
            value = value.replace(r"\n", "\n").replace(r"\r", "\r")
        variables[name] = value
        is_cut = line[3] is not None and not re.search(
            rf"[{_SPACE}'\"`]\Z", line.string[: line.start(3)][-1:]
        )
        (cut.add if is_cut else cut.discard)(name)
    return EnvFile(variables, frozenset(cut))
