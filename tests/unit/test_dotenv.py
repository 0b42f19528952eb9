"""`.env.payment` is read as Node's `dotenv` reads it, and what is no UTF-8 is told."""

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kernapay.commands.main import cli
from kernapay.config.dotenv import parse, read_env_file
from kernapay.config.loading import ConfigurationError, read_environment
from tests.unit.conftest import Load

# What `dotenv.parse` of dotenv 16.6 and 18.0 returns for each text.
NODE: Final = {
    "plain": (
        "A=1\nB = two words \nexport C=3\nD: 4\nE=\nF",
        {"A": "1", "B": "two words", "C": "3", "D": "4", "E": ""},
    ),
    "comments": (
        "# A=0\nA=1 # one\nB=x#y\nC='#z' # c\nD=\"#\"#d\nE=#e\nF=a'b#c'",
        {"A": "1", "B": "x", "C": "#z", "D": "#", "E": "", "F": "a'b"},
    ),
    "no expansion": (
        "A=x\nB=${A}\nC=\"$A\"\nD=$(id)\nE='$A'\nF=\\$A\nG=pa$$word",
        {"A": "x", "B": "${A}", "C": "$A", "D": "$(id)", "E": "$A", "F": "\\$A", "G": "pa$$word"},
    ),
    "quotes": (
        "A='a b'\nB=\"a b\"\nC=`a 'b' \"c\"`\nD='a\"b'\nE=\"a'b\"\nF=' a '\nG=\"\"\nH=''",
        {
            "A": "a b",
            "B": "a b",
            "C": "a 'b' \"c\"",
            "D": 'a"b',
            "E": "a'b",
            "F": " a ",
            "G": "",
            "H": "",
        },
    ),
    "escapes": (
        'A="1\\n2\\r3\\t4"\nB=\'1\\n2\'\nC=`1\\n2`\nD=1\\n2\nE="a\\"b"\nF=\'a\\\'b\'\nG="a\\\\b"\nH="c:\\new"',
        {
            "A": "1\n2\r3\\t4",
            "B": "1\\n2",
            "C": "1\\n2",
            "D": "1\\n2",
            "E": 'a\\"b',
            "F": "a\\'b",
            "G": "a\\\\b",
            "H": "c:\new",
        },
    ),
    "several lines": (
        "A=\"one\ntwo\"\nB='one\ntwo'\nC=`one\ntwo`\nD=after",
        {"A": "one\ntwo", "B": "one\ntwo", "C": "one\ntwo", "D": "after"},
    ),
    "unclosed": (
        'A="one\nB=\'two\nC=`three\nD="a"b\nE=\'a\'b\'\nF=a"b"',
        {"A": '"one', "B": "'two", "C": "`three", "D": '"a"b', "E": "a'b", "F": 'a"b"'},
    ),
    "json": (
        'A={"LAB": {"required": []}}\nB=\'{"a": "#1"}\'\nC=[1, 2]',
        {"A": '{"LAB": {"required": []}}', "B": '{"a": "#1"}', "C": "[1, 2]"},
    ),
    "bom": ("\ufeffA=1\nB=2", {"A": "1", "B": "2"}),
    "crlf": (
        "A=1\r\nB=\"x\"\r\nC='a\r\nb'\r\n\r\nD=4\rE=5",
        {"A": "1", "B": "x", "C": "a\nb", "D": "4", "E": "5"},
    ),
    "blank": (
        "  A=1\n\tB\t=\t2\t\n\n\n   # c\nC=\u00a03\u00a0\nexport   D=4",
        {"A": "1", "B": "2", "C": "3", "D": "4"},
    ),
    "names": (
        "a.b-c_1=1\n1A=2\nA B=3\n\u00c4=4\n=5\nA=first\nA=last",
        {"a.b-c_1": "1", "1A": "2", "A": "last"},
    ),
    "equals": (
        "A=b=c==\nB==x\nC=postgres://u:p@h/d?x=1&y=2",
        {"A": "b=c==", "B": "=x", "C": "postgres://u:p@h/d?x=1&y=2"},
    ),
    "unicode": (
        "A=\u65e5\u672c\nB=\u00e9\u2028C=1\nD=\u0085x\u0085\nE=\u001cx",
        {"A": "\u65e5\u672c", "B": "\u00e9\u2028C=1", "D": "\u0085x\u0085", "E": "\u001cx"},
    ),
}


@pytest.mark.parametrize(("text", "expected"), NODE.values(), ids=NODE)
def test_a_file_is_read_as_by_node(text: str, expected: dict[str, str]) -> None:
    assert parse(text).variables == expected


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    parse(text)


@given(st.text(st.characters(exclude_characters="'\r", exclude_categories=["Cs"])))
def test_what_stands_in_single_quotes_is_taken_as_it_is(value: str) -> None:
    # A backslash before a quote is no end of it.
    text = value.rstrip("\\")
    assert parse(f"A=1\nKEY='{text}'\nB=2").variables["KEY"] == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_mark_at_the_start_and_the_ends_of_lines_do_not_matter(
    load: Load, encoding: str, end: str
) -> None:
    text = end.join(["MERCHANT_NAME=Café ${HOME}", "PORT='4000'", 'SENDER_NAME="a#b" # c', ""])
    Path(".env.payment").write_bytes(text.encode(encoding))
    settings = load()
    assert (settings.merchant_name, settings.port) == ("Café ${HOME}", 4000)
    assert settings.sender_name == "a#b"


SECRET: Final = "JWT_SECRET=hunter2hunter2"
UNREADABLE: Final[dict[str, Callable[[Path], object]]] = {
    "UTF-16 or not a text file": lambda path: path.write_text(SECRET, encoding="utf-16"),
    "UTF-16 or not a text file. Fix": lambda path: path.write_bytes(
        codecs.BOM_UTF16_BE + SECRET.encode("utf-16-be")
    ),
    "is UTF-16": lambda path: path.write_text(SECRET, encoding="utf-16-le"),
    "UTF-16": lambda path: path.write_text(SECRET, encoding="utf-32"),
    "not UTF-8, but perhaps Latin-1: see line 2. Fix: save it as UTF-8.": lambda path: (
        path.write_bytes(f"{SECRET}\nMERCHANT_NAME=Café".encode("latin-1"))
    ),
    "not UTF-8": lambda path: path.write_bytes(b"PORT=\xf0\x9f\n"),
    "cannot be read (Is a directory)": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_file_that_cannot_be_read_is_one_clear_sentence(load: Load, text: str) -> None:
    UNREADABLE[text](Path(".env.payment"))
    with pytest.raises(ConfigurationError) as caught:
        load()
    (flaw,) = caught.value.flaws
    assert str(flaw).startswith(".env.payment: ")
    assert text in str(flaw)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_has_no_variables(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "none") == ({}, frozenset())
    assert "PATH" in read_environment(tmp_path / "none")


@pytest.mark.parametrize(
    ("line", "is_cut"),
    [
        ("KEY=ab#cd", True),
        ("KEY=#abcd", True),
        ("KEY=ab #cd", False),
        ("KEY='ab#cd'", False),
        ("KEY='ab'#cd", False),
        ("KEY=ab\n#cd", False),
        ("KEY=ab#cd\nKEY=ab", False),
        ("# KEY=ab#cd", False),
    ],
)
def test_a_value_that_a_comment_cuts_short_is_known(line: str, is_cut: bool) -> None:
    assert parse(line).cut == ({"KEY"} if is_cut else set())


def test_a_stack_for_development_tells_it_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env.payment").write_text(SECRET, encoding="utf-16")
    done = CliRunner().invoke(cli, ["dev"])
    assert isinstance(done.exception, ConfigurationError)  # `main` prints it, and exits with 2
    assert not Path(".kernapay").exists()
