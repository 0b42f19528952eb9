"""What Granian loads: the application, tied to the process that started it."""

from litestar import Litestar

from kernapay.app import create_app
from kernapay.core.gc import frozen_start
from kernapay.core.parent_watch import watch_parent


def app() -> Litestar:
    # If `kernapay serve` is killed, its workers must not go on serving on its port.
    watch_parent()
    with frozen_start():
        return create_app()
