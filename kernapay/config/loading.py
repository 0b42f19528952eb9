"""Load the settings from the environment and `.env.payment`, and report every wrong variable at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from kernapay.config.production import find_weaknesses
from kernapay.config.settings import Settings

ENV_FILE: Final = Path(".env.payment")


class ConfigurationError(Exception):
    """The configuration is wrong. The message has a line per variable, and repeats no value."""


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Return the settings. The environment wins over the file, and `overrides` win over both.

    Raises ConfigurationError, naming every variable that is missing or wrong.
    """
    try:
        settings = Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        raise ConfigurationError(_message(_describe(error))) from None
    if problems := [*_incomplete(settings), *_unsafe(settings)]:
        raise ConfigurationError(_message(problems))
    return settings


def _describe(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        variable = str(location[0]).upper() if location else "environment"
        text = problem["msg"].removeprefix("Value error, ")
        yield f"{variable}: {'is missing' if problem['type'] == 'missing' else text}"


def _incomplete(settings: Settings) -> Iterator[str]:
    if settings.email_api_key is not None and settings.sender_email is None:
        yield "SENDER_EMAIL: must be set because EMAIL_API_KEY is set"
    if (settings.aws_access_key_id is None) != (settings.aws_secret_access_key is None):
        yield "AWS_ACCESS_KEY_ID: must be set together with AWS_SECRET_ACCESS_KEY"


def _unsafe(settings: Settings) -> Iterator[str]:
    if settings.is_production:
        for variable, text, fix in find_weaknesses(settings):
            yield f"{variable}: {text}, which production refuses. Fix: {fix}"


def _message(problems: Iterator[str] | list[str]) -> str:
    lines = sorted({f"  {problem}" for problem in problems})
    return "KernaPay cannot start. The configuration is wrong:\n" + "\n".join(lines)
