"""What attackers write where a value belongs."""

from typing import Any, Final

OPERATORS: Final[list[Any]] = [
    {"$gt": ""},
    {"$ne": None},
    {"$regex": ".*"},
    {"$where": "sleep(30000) || true"},
    {"$exists": True},
    {"$in": ["USER", "ADMIN", "INR", ""]},
    {"$expr": {"$function": {"body": "function() {}", "args": [], "lang": "js"}}},
    {"__proto__": {"isAdmin": True}},
    {"_id": {"$oid": "0" * 24}},
    [{"$ne": ""}],
    [["$ne"]],
]
"""Conditions of MongoDB, and other things that are more than one value."""

TEXTS: Final = [
    "$where",
    "$ne",
    "$$ROOT",
    "payment.$[].amount",
    "__class__",
    "password__ne",
    '{"$ne": ""}',
    "' || '1'=='1",
    "a\x00b",
    "\x00",
    "Asha\r\nSet-Cookie: admin=1\r\n\r\n<html>",
    '\n{"event": "forged", "level": "info"}',
    "\ud800",
    "\u202egnp.exe",
    "\ufffe\uffff",
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{7*7}}${7*7}#{7*7}<%= 7*7 %>",
    "${jndi:ldap://127.0.0.1:9/a}",
    "%s%s%s%n{0.__class__}",
    "../../../../etc/passwd",
    "..%2f..%2f%00",
    "*",
    ".*",
    "payment_history:*",
    "=HYPERLINK(1)",
    "\uff11\uff12\uff13",
    "true",
    "null",
    "-1",
    "NaN",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "x" * 5_000,
]
"""Text that means something to a database, a shell, a browser, a log, a template, a path or a parser."""

REORDERING: Final = [
    *range(0x7F, 0xA0),
    *(0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
]
"""Code points that hide, break or reorder the text beside them."""

SEGMENTS: Final = [
    "%24ne",
    "%7B%22%24ne%22%3A%22%22%7D",
    "[object%20Object]",
    "%00",
    "%0a",
    "%0d%0aSet-Cookie:%20a=1",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "%ed%a0%80",
    "%",
    "%zz",
    "%2e%2e",
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%252e%252e%252f",
    "~",
    "*",
    "-1",
    "0",
    "null",
    "undefined",
    "{user_id}",
    "%7Buser_id%7D",
    "<script>",
    "a" * 3_000,
]
"""What an attacker puts where an id belongs in a path; written as it goes over the wire."""

SUFFIXES: Final = [
    "%00",
    "%0a",
    "%20",
    "%09",
    ".json",
    ".",
    ";x=1",
    "%3b",
    "%23",
    ",",
    "%c2%a0",
]
"""What is put behind a good id, to make it another one for one reader and the same for the next."""
