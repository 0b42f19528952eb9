"""Log the settings that are probably a mistake."""

import structlog

from kernapay.config.settings import Settings
from kernapay.config.warning_checks import find_warnings
from kernapay.core import logs

_log = structlog.get_logger("kernapay.configuration")


def log_configuration_warnings(settings: Settings) -> None:
    """Configure the logs, and log a warning for each, before any server starts."""
    logs.configure(settings.log_level)
    for flaw in find_warnings(settings):
        _log.warning("configuration_doubtful", **flaw._asdict())
