"""What the Express service calls the types of accounts, and what its clients read in their tokens."""

from typing import Final

from kernapay.users.models import User

_DOCTOR: Final = "DOCTOR"
_PROVIDER: Final = "PROVIDER"


def to_ours(kind: object) -> object:
    return _PROVIDER if kind == _DOCTOR else kind


def to_theirs(kind: str) -> str:
    return _DOCTOR if kind == _PROVIDER else kind


def claims_of(user: User) -> dict[str, str]:
    """Return the claims that old clients read in a token. Nobody gets a right by them: the session and the account
    decide.
    """
    return {"userId": str(user.pk), "type": to_theirs(user.type)}
