"""The Express service's names of account types, and the token claims that its clients read."""

from typing import Final

from kernapay.users.models import User

_DOCTOR: Final = "DOCTOR"
_PROVIDER: Final = "PROVIDER"


def to_ours(kind: object) -> object:
    return _PROVIDER if kind == _DOCTOR else kind


def to_theirs(kind: str) -> str:
    return _DOCTOR if kind == _PROVIDER else kind


def claims_of(user: User) -> dict[str, str]:
    """Return the claims that old clients read in a token. They grant no rights: the session and
    the account decide.
    """
    return {"userId": str(user.pk), "type": to_theirs(user.type)}
