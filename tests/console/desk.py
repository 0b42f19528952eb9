"""Somebody at the console: a cookie in place of a token, and an authenticator of their own."""

import base64
import hmac
import struct
from collections.abc import Mapping
from datetime import datetime
from http.cookies import SimpleCookie
from typing import Any, Final

import httpx

from kernapay.security.console import CONSOLE_COOKIE
from tests import secrecy

OUR_PAGE: Final = {"X-KernaPay-Console": "1", "Sec-Fetch-Site": "same-origin"}


def cookie_of(answer: httpx.Response) -> str:
    """Return the token in the cookie of an answer, which must be as the design says."""
    (line,) = answer.headers.get_list("set-cookie")
    cookie = SimpleCookie(line)[CONSOLE_COOKIE]
    assert cookie["path"] == "/"
    assert (cookie["secure"], cookie["httponly"]) == (True, True)
    assert cookie["samesite"].lower() == "strict"
    assert cookie["domain"] == ""
    secrecy.learn_word(cookie.value)
    return cookie.value


def sent_with(cookie: str, headers: Mapping[str, str] = OUR_PAGE) -> dict[str, Any]:
    """Return the options of a request that a page sends with the cookie."""
    return {"headers": {**headers, "Cookie": f"{CONSOLE_COOKIE}={cookie}"}}


def totp(secret: str, at: datetime, steps: int = 0) -> str:
    """Return the code that an authenticator shows, so many steps of 30 seconds later (RFC 6238, RFC 4226)."""
    counter = struct.pack(">Q", int(at.timestamp()) // 30 + steps)
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 1_000_000:06d}"
