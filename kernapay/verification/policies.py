"""The rules for one-time codes, by purpose."""

from datetime import timedelta
from typing import Final, NamedTuple

from kernapay.verification.models import Purpose


class Policy(NamedTuple):
    """The rules for the codes of a purpose."""

    digits: int
    lifetime: timedelta
    max_issued: int
    """How many codes in `period`."""
    period: timedelta
    max_attempts: int | None = None
    """Wrong attempts end a code after this number, if there is one."""
    max_earlier: int = 0
    """How many earlier codes stay valid beside the newest."""


RESEND_AFTER: Final = timedelta(seconds=60)
# Together with the attempts: at most 50 guesses a day at one of a million codes. Only the account's owner can request
# or try these.
_CONTACT: Final = Policy(
    digits=6,
    lifetime=timedelta(minutes=10),
    max_issued=10,
    period=timedelta(days=1),
    max_attempts=5,
)
# Anybody may request and try these, so nobody may end the owner's. A code is too long to be guessed in its lifetime,
# needs no limit of attempts of its own, and no later one replaces it: there are at most six in a lifetime. No mail is
# sent only while the third of the period is valid, so the owner has a valid code in any case.
_PASSWORD: Final = Policy(
    digits=12, lifetime=timedelta(hours=1), max_issued=3, period=timedelta(hours=1), max_earlier=5
)
POLICIES: Final = {
    Purpose.EMAIL: _CONTACT,
    Purpose.MOBILE: _CONTACT,
    Purpose.PASSWORD: _PASSWORD,
}
