"""The texts of e-mails and text messages."""

from typing import NamedTuple

from kernapay.verification.models import Purpose
from kernapay.verification.policies import POLICIES


class Mail(NamedTuple):
    subject: str
    text: str


def confirm_email(sender: str, code: str) -> Mail:
    return Mail(
        f"Confirm your e-mail address for {sender}",
        f"{code} is your code to confirm this e-mail address. It is valid for {_minutes(Purpose.EMAIL)} minutes.\n\n"
        f"If you did not ask for it, ignore this message. Nobody at {sender} will ask you for the code.\n",
    )


def confirm_mobile(sender: str, code: str) -> str:
    return f"{code} is your {sender} code, valid for {_minutes(Purpose.MOBILE)} minutes. Do not share it with anyone."


def reset_password(sender: str, code: str) -> Mail:
    return Mail(
        f"Reset your {sender} password",
        f"{code} is your code to set a new password. It is valid for {_minutes(Purpose.PASSWORD)} minutes.\n\n"
        "If you did not ask for it, ignore this message: your password stays as it is.\n"
        f"Nobody at {sender} will ask you for the code.\n",
    )


def password_changed(sender: str) -> Mail:
    return Mail(
        f"Your {sender} password was changed",
        "Your password was reset with a code sent to this address, and every device was signed out.\n\n"
        "If that was not you, reset the password again at once and secure your mailbox.\n",
    )


def _minutes(purpose: Purpose) -> int:
    return int(POLICIES[purpose].lifetime.total_seconds() // 60)
