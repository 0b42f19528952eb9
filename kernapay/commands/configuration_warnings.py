"""The log lines about a configuration that works and is perhaps not meant."""

import structlog

from kernapay.config.advice import find_doubts
from kernapay.config.settings import Settings
from kernapay.core import logs

_log = structlog.get_logger("kernapay.configuration")


def log_doubts(settings: Settings) -> None:
    """Configure the logs, and warn once for each doubt, before any server starts."""
    logs.configure(settings.log_level)
    for doubt in find_doubts(settings):
        _log.warning("configuration_doubtful", **doubt._asdict())
