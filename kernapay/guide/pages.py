"""The guide's pages: Markdown files of the repository, rendered to HTML on request."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.metadata import metadata
from pathlib import Path, PurePosixPath
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from kernapay.guide.contents import CONTENTS, START
from kernapay.web.headers import GUIDE_PATH

DOCS: Final = Path(__file__).parents[1] / "docs"
RUNBOOKS: Final = "runbooks"
PICTURES: Final = "pictures"
_NOT_IN_SLUGS: Final = re.compile(r"[^\w\- ]")
_ANCHOR: Final = re.compile(r"\w+")
_IN_DOCS: Final = PurePosixPath("kernapay/docs")
_SCROLLS: Final = '<div class="wide" role="region" aria-label="Table" tabindex="0">'


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text below it."""

    title: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    """The place below the guide, such as `refunds` or `runbooks/slow`."""
    title: str
    html: str
    sections: Sequence[Section]


def names() -> Iterator[str]:
    """Yield the names of all pages, in the order of the contents, then those of the runbooks."""
    for group in CONTENTS.values():
        yield from group
    for path in sorted((DOCS / RUNBOOKS).glob("*.md")):
        yield f"{RUNBOOKS}/{path.stem}"


@cache
def read_page(name: str) -> Page:
    """Return the page of a name that `names` yields. It reads a file, so never on the event loop."""
    place = PurePosixPath("README.md") if name == START else _IN_DOCS / f"{name}.md"
    return make_page(name, place, _source(name))


def make_page(name: str, place: PurePosixPath, source: str) -> Page:
    """Return the page of a text. `place` is its path in the repository, which its links are relative to."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("table_open", _open_table)
    markdown.add_render_rule("table_close", _close_table)
    markdown.add_render_rule("fence", _show_code)
    markdown.add_render_rule("code_block", _show_code)
    tokens = markdown.parse(source)
    _name_rows(tokens)
    sections = list(_split(tokens))
    for token in _all(tokens):
        _lead_to_the_guide(token, place)
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Page(name, sections[0].title, html, sections)


def slug(title: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return _NOT_IN_SLUGS.sub("", title.lower()).replace(" ", "-")


def target_of(link: str, place: PurePosixPath) -> str:
    """Return where a link of a page leads in the guide; links to elsewhere stay as they are."""
    path, mark, anchor = link.partition("#")
    if not path or "://" in path:
        return link
    parts: list[str] = []
    for part in (place.parent / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    full = PurePosixPath(*parts)
    if full == PurePosixPath("README.md"):
        return f"{GUIDE_PATH}/{START}{mark}{anchor}"
    if not full.is_relative_to(_IN_DOCS) or full.suffix not in (".md", ".png"):
        return link
    below = full.relative_to(_IN_DOCS)
    return f"{GUIDE_PATH}/{below.with_suffix('') if full.suffix == '.md' else below}{mark}{anchor}"


def _source(name: str) -> str:
    if name == START:
        readme = DOCS.parents[1] / "README.md"
        if readme.with_name("pyproject.toml").is_file():
            return readme.read_text("utf-8")
        # Of an installed package, README is nowhere else.
        return metadata("kernapay")["Description"]
    return (DOCS / f"{name}.md").read_text("utf-8")


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _split(tokens: Sequence[Token]) -> Iterator[Section]:
    """Give each heading its anchor, and yield the sections."""
    title = anchor = ""
    texts: list[str] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            if title:
                yield Section(title, anchor, "\n".join(texts))
            title, texts = _text(tokens[index + 1]), []
            anchor = slug(title)
            token.attrSet("id", anchor)
        elif token.type == "inline" and tokens[index - 1].type != "heading_open":
            texts.append(_text(token))
        elif token.type in ("fence", "code_block"):
            texts.append(token.content)
    yield Section(title, anchor, "\n".join(texts))


def _name_rows(tokens: Sequence[Token]) -> None:
    """Give each row of a table that begins with a code its anchor, such as the code of an error."""
    named = set()
    for row, _, cell in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if row.type != "tr_open" or not cell.children or cell.children[0].type != "code_inline":
            continue
        anchor = cell.children[0].content
        if _ANCHOR.fullmatch(anchor) and anchor not in named:
            named.add(anchor)
            row.attrSet("id", anchor)


def _text(inline: Token) -> str:
    breaks = {"softbreak": " ", "hardbreak": " "}
    return "".join(breaks.get(each.type, each.content) for each in inline.children or ())


def _lead_to_the_guide(token: Token, place: PurePosixPath) -> None:
    for name in ("href", "src"):
        if isinstance(link := token.attrGet(name), str):
            token.attrSet(name, target_of(link, place))


def _open_table(_: RendererHTML, *__: Any) -> str:
    return f"{_SCROLLS}<table>\n"


def _close_table(_: RendererHTML, *__: Any) -> str:
    return "</table></div>\n"


def _show_code(_: RendererHTML, tokens: Sequence[Token], index: int, *__: Any) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[index].content)}</code></pre>\n'
