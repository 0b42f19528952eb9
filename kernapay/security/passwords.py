"""Check the strength of passwords, and hash them in a thread pool of their own."""

import re
import unicodedata
from typing import Final

from passlib.context import CryptContext

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import InvalidInput
from kernapay.core.fair_share import FairShare
from kernapay.core.zxcvbn_parts import read_frequency_list

MAX_LENGTH: Final = 128
MIN_LENGTH: Final = 8
# The list has the most used first. Its tail contains words that are not common passwords.
_COMMON: Final = frozenset(read_frequency_list("passwords")[:10_000])
# Shorter parts of a name occur in any password by chance.
_MIN_NAME_LENGTH: Final = 3
_MIN_OTHER_CHARACTERS: Final = 4
_SCHEME: Final = "bcrypt_sha256"
_BCRYPT_BYTES: Final = 72
OPERATOR: Final = "operator"
"""The client of administrators and of the command line."""
# At the default cost two threads hash about 30 passwords a second, so the last of these waits for two seconds. That
# is enough for an office behind one address.
_IN_FLIGHT_PER_CLIENT: Final = 64
_ROUNDS: Final = re.compile(r"^\$bcrypt-sha256\$.*\br=(\d+)|^\$2[abxy]\$(\d+)\$")


def check_strength(password: str, email: str, name: str) -> None:
    """Refuse short and common passwords, and those that are little more than the owner's name or address.

    Raises InvalidInput for `password`.
    """
    password = normalise_password(password)
    if len(password) < MIN_LENGTH:
        raise InvalidInput(f"Must have at least {MIN_LENGTH} characters.", field="password")
    if password.lower() in _COMMON:
        raise InvalidInput(
            "This is one of the most common passwords. Choose another one.", field="password"
        )
    rest = password.lower()
    local = email.lower().partition("@")[0]
    for word in sorted({local, *re.split(r"\W|_", f"{local} {name.lower()}")}, key=len)[::-1]:
        if len(word) >= _MIN_NAME_LENGTH:
            rest = rest.replace(word, "")
    if len(rest) < _MIN_OTHER_CHARACTERS:
        raise InvalidInput(
            f"Must have at least {_MIN_OTHER_CHARACTERS} characters besides your name and e-mail address.",
            field="password",
        )


def normalise_password(password: str) -> str:
    """Return the form that is hashed, the same on every machine.

    Keyboards write one character in several ways: composed or not, in several widths, with a space of their own. The
    form is NFKC, as NIST SP 800-63B asks for, with ASCII's space for every other one, as in RFC 8265.
    """
    if password.isascii():
        return password
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    return unicodedata.normalize("NFKC", spaced)


def is_same_password(one: str, other: str) -> bool:
    return normalise_password(one) == normalise_password(other)


def is_express_hash(password_hash: str | None) -> bool:
    """Return whether this is a hash of bcrypt alone, as the Express service made them."""
    return password_hash is not None and password_hash.startswith("$2")


def _earlier_forms(password: str, normal: str) -> list[str]:
    """Return the forms in which a password was hashed before: as it was typed, and as the Express service changed it.

    That service wrote `&lt;` for every `<` of a request, and bcrypt used the first 72 bytes.
    """
    forms = [password] if normal != password else []
    if "<" in password:
        escaped = password.replace("<", "&lt;").encode()[:_BCRYPT_BYTES]
        forms.append(escaped.decode(errors="ignore"))
    return forms


class PasswordHasher:
    """Hash with bcrypt over SHA-256, and verify plain bcrypt too.

    bcrypt alone uses the first 72 bytes only. Passwords are normalised here, and nowhere else.

    A `client` causes the work, such as a network address. Clients take turns, so that a client with many passwords
    delays others by one hash at most. A client with too many at once gets TooManyRequests.
    """

    def __init__(self, rounds: int, pool: Bulkhead) -> None:
        self._context = CryptContext(
            [_SCHEME, "bcrypt"],
            deprecated="auto",
            bcrypt_sha256__rounds=rounds,
            bcrypt__rounds=rounds,
        )
        self._rounds = rounds
        self._pool = pool
        self._share = FairShare(
            per_subject=pool.size, total=pool.size, in_flight=_IN_FLIGHT_PER_CLIENT
        )

    async def hash(self, password: str, client: str = OPERATOR) -> str:
        normal = normalise_password(password)
        async with self._share.turn(client):
            password_hash: str = await self._pool.run(self._context.hash, normal)
        return password_hash

    async def verify(
        self, password: str, password_hash: str | None, client: str = OPERATOR
    ) -> tuple[bool, str | None]:
        """Return whether the password is correct, and a new hash if the stored one is out of date.

        A wrong password takes as long as any password for an account that does not exist (`password_hash` is None).
        """
        async with self._share.turn(client):
            return await self._pool.run(self._verify, password, password_hash)

    def _verify(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        normal = normalise_password(password)
        result = self._verify_as_typed(normal, password_hash)
        if result[0]:
            return result
        # For an unknown account too: the time must not tell them apart.
        for earlier in _earlier_forms(password, normal):
            is_correct, _ = self._verify_as_typed(earlier, password_hash)
            if is_correct and (earlier == password or is_express_hash(password_hash)):
                return True, self._context.hash(normal)
        return False, None

    def _verify_as_typed(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        if password_hash is None:
            self._context.hash(password)
            return False, None
        # The service that this one replaces stored plain bcrypt hashes. bcrypt accepts neither more than
        # 72 bytes nor a NUL.
        is_beyond_bcrypt = len(password.encode()) > _BCRYPT_BYTES or "\0" in password
        if is_beyond_bcrypt and not password_hash.startswith("$bcrypt-sha256$"):
            self._context.hash(password)
            return False, None
        is_correct, new_hash = self._context.verify_and_update(password, password_hash)
        if not is_correct:
            self._spend_missing_time(password_hash, password)
        return bool(is_correct), new_hash

    def _spend_missing_time(self, password_hash: str, password: str) -> None:
        """Make a check against a hash with fewer rounds as slow as one with today's."""
        # A hash with r rounds costs 2^r. The hashes with r, r+1, …, n-1 rounds together cost the missing 2^n - 2^r.
        match = _ROUNDS.match(password_hash)
        for rounds in range(int(match[1] or match[2]) if match else self._rounds, self._rounds):
            self._context.handler(_SCHEME).using(rounds=rounds).hash(password)
