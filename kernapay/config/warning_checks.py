"""Find settings that work but are probably a mistake. The start-up log and the doctor report them."""

from collections.abc import Iterator
from pathlib import Path

from kernapay.config.dotenv import read_env_file
from kernapay.config.flaws import Flaw
from kernapay.config.loading import ENV_FILE, read_environment
from kernapay.config.settings import Environment, Settings
from kernapay.config.spelling import find_misspelt


def find_warnings(settings: Settings) -> list[Flaw]:
    """Return the settings that an operator should check."""
    return [
        *_mode(settings),
        *_mongodb_url(settings),
        *find_misspelt(read_environment(ENV_FILE)),
        *_cut_values(ENV_FILE),
    ]


def _mode(settings: Settings) -> Iterator[Flaw]:
    if settings.is_production and not settings.is_live:
        yield Flaw(
            "RAZORPAY_KEY_ID",
            "is a test key, which moves no real money, but APP_ENV is production",
            "set RAZORPAY_KEY_ID to a key that begins with rzp_live_, or correct APP_ENV.",
        )
    if settings.is_live and settings.app_env is not Environment.PRODUCTION:
        yield Flaw(
            "APP_ENV",
            f"is {settings.app_env.value}, but the key moves real money, so the rules of production hold",
            "set APP_ENV to production.",
        )


def _mongodb_url(settings: Settings) -> Iterator[Flaw]:
    from kernapay.storage import mongo_urls
    from kernapay.storage.mongo import DEFAULT_DATABASE

    url = settings.mongodb_url.get_secret_value()
    if not mongo_urls.has_database(url):
        yield Flaw(
            "MONGODB_URL",
            f"names no database, so the database is {DEFAULT_DATABASE}",
            f"add its name behind the hosts, such as /{DEFAULT_DATABASE}.",
        )
    if mongo_urls.has_plus_in_login(url):
        yield Flaw(
            "MONGODB_URL",
            "has a + in user or password, which means a space",
            "write %2B for a +, or %20 for a space.",
        )
    if overridden := mongo_urls.find_overridden(url):
        yield Flaw(
            "MONGODB_URL",
            f"has options that are not safe for money and not used: {', '.join(overridden)}",
            "remove them. Payments are read from the primary, and written to a majority.",
        )


def _cut_values(env_file: Path) -> Iterator[Flaw]:
    known = {name.upper() for name in Settings.model_fields}
    for name in sorted(read_env_file(env_file).cut & known):
        yield Flaw(
            name,
            f"ends in {env_file.name} where a # begins a comment",
            "put the value in quotes if the # is a part of it.",
        )
