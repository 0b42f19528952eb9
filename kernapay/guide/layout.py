"""The frame around every page of the guide: its contents, the search, and the text."""

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from kernapay.guide.contents import CONTENTS
from kernapay.guide.pages import Page, read_page
from kernapay.guide.search import Hit
from kernapay.web.headers import GUIDE_PATH

FILES: Final = Path(__file__).parent / "static"


def show_page(page: Page) -> bytes:
    """Return the whole document of a page."""
    return _frame(page.title, page.html, page.name)


def show_hits(question: str, hits: Sequence[Hit]) -> bytes:
    """Return the document with the answers to a question."""
    count = f"{len(hits)} {'place' if len(hits) == 1 else 'places'}"
    body = f"<h1>Search</h1><p>{count} for <strong>{escape(question)}</strong>.</p>"
    if not hits:
        body += "<p>Try another word, such as the name of a setting, an error code or an event.</p>"
    for hit in hits:
        where = f"{GUIDE_PATH}/{hit.page}#{hit.anchor}"
        title = hit.title if hit.title == hit.page_title else f"{hit.page_title}: {hit.title}"
        body += f'<h2 class="hit"><a href="{where}">{escape(title)}</a></h2><p>{hit.excerpt}</p>'
    return _frame("Search", body, "", question)


def _frame(title: str, body: str, current: str, question: str = "") -> bytes:
    return (
        _template()
        .substitute(
            title=escape(title),
            body=body,
            question=escape(question),
            contents=_contents(current),
            guide=GUIDE_PATH,
        )
        .encode()
    )


@cache
def _template() -> Template:
    return Template((FILES / "page.html").read_text("utf-8"))


def _contents(current: str) -> str:
    groups = []
    for group, pages in CONTENTS.items():
        items = "".join(_item(name, current) for name in pages)
        groups.append(f"<h2>{escape(group)}</h2><ul>{items}</ul>")
    return "".join(groups)


def _item(name: str, current: str) -> str:
    here = ' aria-current="page"' if name == current else ""
    title = escape(read_page(name).title)
    return f'<li><a href="{GUIDE_PATH}/{name}"{here}>{title}</a></li>'
