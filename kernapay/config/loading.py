"""Load the settings from the environment and `.env.payment`, and report every wrong variable at once."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from kernapay.config.dotenv import read_env_file
from kernapay.config.flaws import Flaw
from kernapay.config.prices import find_price_problems
from kernapay.config.production import find_weaknesses
from kernapay.config.settings import Environment, Settings
from kernapay.config.spelling import find_misspelt

ENV_FILE: Final = Path(".env.payment")
# Another name of a variable, read if that is not set.
_OTHER_NAMES: Final = {"APP_ENV": "NODE_ENV"}
# What the Express service read first. A process that speaks its contract reads its file of settings.
_EXPRESS_NAMES: Final = {"RAZORPAY_WEBHOOK_SECRET": "WEBHOOK_SECRET"}
# Values for what is missing or wrong, so that the rest can be checked: none of them is a flaw.
_STAND_INS: Final[dict[str, Any]] = {
    "mongodb_url": "mongodb://localhost/kernapay",
    "jwt_secret": "m3Wc8RzQ6yTf1KpXb9NvJ4sHd7LgA2uE",
    "razorpay_key_id": "rzp_test_unknown",
    "razorpay_key_secret": "V5xGq8ZtBn2MkLw7RcYp4Hds",
    "razorpay_webhook_secret": "tD6mKf9XzQ3vWj8BsNc5RyPa",
}


class ConfigurationError(Exception):
    """The configuration is wrong. The message has a line per problem, and repeats no value."""

    def __init__(self, flaws: Iterable[Flaw]) -> None:
        self.flaws = sorted(set(flaws))
        lines = (f"  {flaw}" for flaw in self.flaws)
        super().__init__("KernaPay cannot start. The configuration is wrong:\n" + "\n".join(lines))


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Return the settings. The environment wins over the file, and `overrides` win over both.

    An empty value stands for none. Raises ConfigurationError, naming every variable that is missing or wrong.
    """
    environment = read_environment(env_file)
    names = {field: _name(field, environment) for field in Settings.model_fields}
    given = {f: environment[name] for f, name in names.items() if name in environment} | overrides
    given = {field: value for field, value in given.items() if value != ""}
    flaws: list[Flaw] = []
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()}
        flaws += _describe(error, names)
        settings = _with_stand_ins(given, wrong)
    else:
        wrong = set()
    others = [*_incomplete(settings), *_unsafe(settings)]
    flaws += (flaw for flaw in others if flaw.variable.lower() not in wrong)
    if flaws:
        raise ConfigurationError([*flaws, *find_misspelt(environment)])
    return settings


def read_environment(env_file: Path | None = ENV_FILE) -> dict[str, str]:
    """Return all variables, of KernaPay or not. The environment wins over the file, even if its value is empty.

    Raises ConfigurationError if the file is not UTF-8 text.
    """
    if env_file is None:
        return dict(os.environ)
    try:
        return read_env_file(env_file).variables | os.environ
    except ValueError as error:
        text, _, fix = str(error).partition(". Fix: ")
        raise ConfigurationError([Flaw(env_file.name, text, fix)]) from None


def _name(field: str, environment: Mapping[str, str]) -> str:
    name = field.upper()
    if environment.get("COMPAT") == "express" and environment.get(_EXPRESS_NAMES.get(name, "")):
        return _EXPRESS_NAMES[name]
    other = _OTHER_NAMES.get(name)
    return other if other and not environment.get(name) and environment.get(other) else name


def _with_stand_ins(given: Mapping[str, Any], wrong: set[str]) -> Settings:
    """Return the settings with what is right of those given, so that it can be checked further."""
    right = {field: value for field, value in given.items() if field not in wrong}
    unknown: dict[str, Any] = {}
    # Unknown is not no: what may be meant for production is checked for it.
    if "app_env" in wrong:
        unknown["app_env"] = Environment.PRODUCTION
    if str(given.get("razorpay_key_id", "")).strip().lower().startswith("rzp_live"):
        unknown["razorpay_key_id"] = "rzp_live_unknown"
    return Settings.model_validate(_STAND_INS | unknown | right)


def _describe(error: ValidationError, names: Mapping[str, str]) -> Iterator[Flaw]:
    for problem in error.errors(include_url=False, include_input=False):
        name = names[str(problem["loc"][0])]
        text = problem["msg"].removeprefix("Value error, ")
        yield Flaw(name, "is missing" if problem["type"] == "missing" else text)


def _incomplete(settings: Settings) -> Iterator[Flaw]:
    if settings.email_api_key is not None and settings.sender_email is None:
        yield Flaw("SENDER_EMAIL", "must be set because EMAIL_API_KEY is set")
    pair = ("aws_access_key_id", "aws_secret_access_key")
    for field, other in (pair, pair[::-1]):
        if getattr(settings, field) is None and getattr(settings, other) is not None:
            yield Flaw(field.upper(), f"must be set because {other.upper()} is set")
    for problem in find_price_problems(
        settings.service_types, settings.currencies, settings.max_amount
    ):
        yield Flaw("SERVICE_TYPES", problem)


def _unsafe(settings: Settings) -> Iterator[Flaw]:
    if settings.is_production:
        for flaw in find_weaknesses(settings):
            yield flaw._replace(text=f"{flaw.text}, which production refuses")
