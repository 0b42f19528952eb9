"""Write a sheet as HTML: one file, which needs no other and runs nothing."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from kernapay.core import qr_codes
from kernapay.payments.documents.font_files import LATIN, cut, fonts_for, range_of
from kernapay.payments.documents.sheet import Fact, Line, Sheet

_STYLE: Final = (Path(__file__).parent / "sheet.css").read_text()
_STYLES: Final = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


def policy_of(page: bytes) -> str:
    """Return the content security policy of such a page. It allows the page's own styles and fonts only."""
    digests = (hashlib.sha256(style).digest() for style in _STYLES.findall(page))
    styles = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; style-src {styles}; font-src data:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    )


def write(sheet: Sheet) -> bytes:
    """Return the sheet as HTML. Texts of others are isolated, so that they cannot reorder the text beside them."""
    parts = [
        f'<header><div><p class="seller">{_given(sheet.seller)}</p>',
        *(f"<p>{_given(line)}</p>" for line in sheet.address),
        f'</div><div class="right"><h1>{escape(sheet.title)}</h1>',
        f"<p>{escape(sheet.number)}</p><p>{escape(sheet.day)}</p></div></header>",
        f'<p class="banner">{escape(sheet.banner)}</p>' if sheet.banner else "",
        f'<section class="sum"><div><p class="soft">{escape(sheet.party_label)}</p>',
        f'<p class="party">{_given(sheet.party)}</p>',
        *(f'<p class="soft">{_given(line)}</p>' for line in sheet.party_lines),
        f'<p class="amount">{escape(sheet.amount)}</p><p class="soft">{escape(sheet.words)}</p></div>',
        f'<p class="stamp"><strong>{escape(sheet.stamp)}</strong> {escape(sheet.stamp_time)}</p></section>',
        '<table><thead><tr><th scope="col">For</th><th scope="col" class="right">Amount</th></tr></thead>',
        f"<tbody><tr><td>{_given(sheet.item)}",
        f'<br><span class="soft">{_given(sheet.item_note)}</span>' if sheet.item_note else "",
        f'</td><td class="right">{escape(sheet.item_amount)}</td></tr></tbody><tfoot>',
        *(_row(line) for line in sheet.lines),
        "</tfoot></table><dl>",
        *(_fact(fact) for fact in sheet.facts),
        "</dl><footer><div>",
        *(f"<p>{escape(line)}</p>" for line in sheet.footer),
        _check(sheet.check_url),
        "</footer>",
    ]
    kind = "sheet note" if sheet.is_note else "sheet"
    body = f'<article class="{kind}">{"".join(parts)}</article>'
    return document(f"{sheet.title} {sheet.number}", body, sheet.given)


def document(title: str, body: str, given: Sequence[str] = ()) -> bytes:
    """Return a page with our style. The title is text, the body HTML, and `given` are texts that need fonts."""
    return (
        '<!doctype html><html lang="en-IN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>{_fonts(given)}</head><body><main>{body}</main></body></html>"
    ).encode()


def _fonts(given: Sequence[str]) -> str:
    """Return the fonts that texts need, as subsets. Not every machine has fonts for India's scripts."""
    faces = []
    for name in fonts_for(given):
        if name == LATIN:  # every machine has these
            continue
        content = base64.b64encode(cut(name, given)).decode()
        faces.append(
            f'@font-face{{font-family:Paper;src:url("data:font/ttf;base64,{content}");'
            f"unicode-range:{range_of(name)}}}"
        )
    return f"<style>{''.join(faces)}</style>" if faces else ""


def _given(text: str) -> str:
    return f"<bdi>{escape(text)}</bdi>"


def _row(line: Line) -> str:
    return (
        f'<tr class="{line.tone}"><th scope="row">{escape(line.label)}</th>'
        f'<td class="right">{escape(line.amount)}</td></tr>'
    )


def _fact(fact: Fact) -> str:
    kind = ' class="wide"' if fact.is_wide else ""
    return f"<div{kind}><dt>{escape(fact.name)}</dt><dd>{_given(fact.value)}</dd></div>"


def _check(url: str | None) -> str:
    if url is None:
        return "</div>"
    link = escape(url)
    size, path = qr_codes.draw(url)
    return (
        f'<p>Check this paper: <a href="{link}">{link}</a></p></div>'
        f'<svg role="img" aria-label="The same link as a QR code" viewBox="0 0 {size} {size}">'
        f'<path d="{path}"/></svg>'
    )
