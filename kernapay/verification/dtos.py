"""Request and response structs for one-time codes and password resets."""

from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.core.patterns import explain
from kernapay.security.passwords import MAX_LENGTH
from kernapay.users.dtos import EmailText, Password


def _digits(count: int, words: str, example: str) -> Meta:
    """Describe a code: digits of any script and width, as keyboards write them, with spaces or hyphens between them."""
    pattern = rf"^[ \u00a0\u3000]*(\d[ \u00a0\u3000-]*){{{count}}}$"
    return Meta(max_length=32 + count, pattern=explain(pattern, words), examples=[example])


OneTimeCode = Annotated[str, _digits(6, "six digits", "042917")]
ResetCode = Annotated[str, _digits(12, "twelve digits", "042917385524")]


class CodeConfirm(Struct, rename="camel", forbid_unknown_fields=True):
    """The code that was sent to the e-mail address or the mobile number."""

    code: OneTimeCode


class CodeSent(Struct, rename="camel"):
    """`sentTo` is masked. The next code can be requested after `resendAt`."""

    message: Annotated[str, Meta(examples=["A code is on its way."])]
    sent_to: Annotated[str, Meta(examples=["a…@example.com"])]
    expires_at: Instant
    resend_at: Instant
    success: bool = True


class PasswordForgot(Struct, rename="camel", forbid_unknown_fields=True):
    """The e-mail address of the account."""

    email: EmailText


class PasswordReset(Struct, rename="camel", forbid_unknown_fields=True):
    """A new password. `code` is the one that `password/forgot` sent."""

    email: EmailText
    code: ResetCode
    password: Password
    confirm_password: Annotated[
        str, Meta(max_length=MAX_LENGTH, examples=["correct horse battery"])
    ]
