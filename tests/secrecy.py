"""What people told the services or got from them, and the search for it in all they wrote about themselves."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

CARD: Final = "4100280000001007"
"""The number of a card, for tests that tell one where none belongs."""

confidential: Final = {CARD}
"""No log and no metric may ever hold one of these. Most are learned from the wire; a test may add more."""

_stored: Final[set[str]] = set()
_known_bodies: Final[set[int]] = set()
captured: Final[list[str]] = []
"""What the services that ran inside a test wrote."""

# Such as the API document, which many tests ask for: it is looked through once.
_LARGE: Final = 50_000
_SECRETS: Final = {
    "password",
    "confirmPassword",
    "currentPassword",
    "token",
    "refreshToken",
    "key",
    "secret",
    "challenge",
    "signature",
    "card_number",
}
# The database holds them, and writes statements that took long into its own log.
_STORED: Final = {
    *("email", "mobileNumber", "contact", "gstin", "postalCode"),
    *("razorpaySignature", "razorpay_signature"),
}
# `key` is also what the gateway's Checkout calls the id of the merchant's key, which every page shows.
_PUBLIC_KEYS: Final = ("rzp_test_", "rzp_live_")
_DATABASE_LOGS: Final = {"mongod.log", "redis.log"}
# Six digits that are neither part of a longer word nor a number of JSON or of a metric.
_CODE: Final = re.compile(r"(?<![\w.:])\d{6}(?:\d{6})?(?!\w|\.\d)")
_RUN: Final = re.compile(r"\w+")
# For what went past our clients, through a browser or a command.
_SHAPES: Final = {
    "a JSON web token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
    "an API key": re.compile(r"\bkp_(scoped_)?(live|test)_[0-9A-Za-z]{20,}"),
}
_STORED_SHAPES: Final = {
    "a hash of a password": re.compile(r"\$(2[aby]|bcrypt[\w-]*)\$"),
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.\w{2,}"),
}


def hooks() -> dict[str, Any]:
    """Return the `event_hooks` of a client that learns what it sends and receives."""

    def learn(answer: httpx.Response) -> None:
        answer.read()
        _learn(answer)

    return {"response": [learn]}


def async_hooks() -> dict[str, Any]:
    """Return the `event_hooks` of an asynchronous client."""

    async def learn(answer: httpx.Response) -> None:
        await answer.aread()
        _learn(answer)

    return {"response": [learn]}


def learn(body: Any) -> None:
    """Remember the secrets in a JSON body, by the names of its fields, and the codes in its texts."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name in _SECRETS | _STORED and not str(value).startswith(_PUBLIC_KEYS):
                learn_word(str(value))
            if name == "recoveryCodes" and isinstance(
                value, list
            ):  # in the API document, it is a schema
                for code in value:
                    learn_word(code)
            if name in _STORED:
                _stored.add(str(value))  # with six digits or twelve, it is no code
            else:
                learn(value)
    elif isinstance(body, list):
        for value in body:
            learn(value)
    elif isinstance(body, str):
        confidential.update(_CODE.findall(body))


def _learn(answer: httpx.Response) -> None:
    # A refused word may be anything, such as the name of a route.
    if not answer.is_success:
        return
    request = answer.request
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme == "Bearer":
        learn_word(credentials)
    learn_word(request.headers.get("x-razorpay-signature", ""))
    learn_word(request.url.params.get("signature", ""))
    learn_from(answer.content)
    with suppress(httpx.RequestNotRead):  # sent in pieces, and gone
        learn_from(request.content)


def learn_from(content: bytes) -> None:
    """Learn from a body, if it is JSON."""
    if len(content) >= _LARGE:
        if hash(content) in _known_bodies:
            return
        _known_bodies.add(hash(content))
    with suppress(ValueError, RecursionError):
        learn(msgspec.json.decode(content))


def learn_word(word: str) -> None:
    """Remember a secret that does not cross one of our clients."""
    if len(word) >= 8:
        # As it was written, and as programs write the number of a card.
        confidential.update((word, word.replace(" ", "")))


def leaks(folder: Path) -> Iterator[str]:
    """Search what was captured, and the logs and metrics under a folder; yield what was found where."""
    yield from leaks_in("the output of an application inside a test", "".join(captured))
    for path in sorted((*folder.rglob("*.log"), *folder.rglob("*.metrics"))):
        # `kernapay dev` tells the accounts of its demo on the screen; its services have logs of their own.
        if path.name != "dev.log":
            yield from leaks_in(
                str(path.relative_to(folder)),
                path.read_text(errors="replace"),
                of_database=path.name in _DATABASE_LOGS,
            )


def leaks_in(where: str, text: str, *, of_database: bool = False) -> Iterator[str]:
    """Search a text; that of a database may hold what is stored, but nothing that never is."""
    pieces = _pieces(text)
    for what, shape in _SHAPES.items() if of_database else (_SHAPES | _STORED_SHAPES).items():
        for found in shape.finditer(pieces):
            yield f"{where} holds {what}: {_around(text, found[0])}"
    codes = {word for word in confidential if _CODE.fullmatch(word)}
    words = confidential - codes - (_stored if of_database else set())
    for found in _CODE.finditer(pieces):
        if found[0] in codes:
            yield f"{where} holds a code: {_around(text, found[0])}"
    # A word can only be where the longest run of its letters and digits is. Each run is searched once.
    runs = "\n".join(set(_RUN.findall(pieces)))
    for word in words:
        run = max(_RUN.findall(word), key=len, default="")
        if run in runs and word in text:
            yield f"{where} holds a confidential word: {_around(text, word)}"


def _pieces(text: str) -> str:
    """Return what stands between spaces and quotes, each once: a log of 80 MB repeats itself a hundred times."""
    return "\n".join(set(text.replace('"', " ").split()))


def _around(text: str, found: str) -> str:
    position = text.index(found)
    return repr(text[max(0, position - 80) : position + 80])
