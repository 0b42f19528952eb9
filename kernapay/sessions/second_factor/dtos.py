"""Request and response structs of the second factor."""

from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.core.patterns import explain
from kernapay.security.passwords import MAX_LENGTH
from kernapay.sessions.dtos import SecondFactorCode

_CHALLENGE = Meta(
    min_length=1,
    max_length=1000,
    pattern=explain(r"^[A-Za-z0-9_=-]+$", "the `challenge` of the answer before"),
    examples=["gAAAAABqZ1dQx5vRk2LmPA=="],
)
_CurrentPassword = Annotated[
    str, Meta(min_length=1, max_length=MAX_LENGTH, examples=["correct horse battery"])
]


class SecondFactorState(Struct, rename="camel"):
    """Whether the account has a second factor, since when, and how many recovery codes are left."""

    is_enrolled: bool
    since: Instant | None = None
    recovery_codes_left: Annotated[int, Meta(examples=[10])] = 0


class SecondFactorEnrol(Struct, rename="camel", forbid_unknown_fields=True):
    """The password proves that the caller is the owner, and not somebody who found the device unlocked."""

    current_password: _CurrentPassword


class QrCode(Struct):
    """A QR code: `path` is the `d` of a path of SVG, whose area is dark, in a square of `size` by `size`.

    It needs four light modules on each side: `viewBox="-4 -4 49 49"` for a size of 41.
    """

    size: Annotated[int, Meta(examples=[41])]
    path: Annotated[str, Meta(examples=["M0 0h7v1h-7z"])]


class SecondFactorChallenge(Struct, rename="camel"):
    """The key of a new authenticator. Show `qr`, which is `uri` as a QR code, or let people type `secret`.

    Then send a code of it together with `challenge` before `expiresAt`. Until then nothing has changed.
    """

    challenge: Annotated[str, _CHALLENGE]
    secret: Annotated[str, Meta(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])]
    uri: Annotated[
        str,
        Meta(examples=["otpauth://totp/KernaPay%3Aasha%40example.com?secret=JBSWY3DPEHPK3PXP"]),
    ]
    qr: QrCode
    expires_at: Instant


class SecondFactorConfirm(Struct, rename="camel", forbid_unknown_fields=True):
    """The challenge, and a first code of the authenticator."""

    challenge: Annotated[str, _CHALLENGE]
    code: SecondFactorCode


class RecoveryCodes(Struct, rename="camel"):
    """Codes for the day the authenticator is lost. Each works once, and only this answer contains them."""

    recovery_codes: Annotated[list[str], Meta(examples=[["k3xw-9f2m-qd7a-zt4p"]])]


class SecondFactorDisable(Struct, rename="camel", forbid_unknown_fields=True):
    """The password, and a code of the authenticator or a recovery code."""

    current_password: _CurrentPassword
    code: SecondFactorCode
