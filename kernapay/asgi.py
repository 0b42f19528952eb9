"""The factory that Granian calls in each worker."""

from litestar import Litestar

from kernapay.app import create_app
from kernapay.core.gc import frozen_start
from kernapay.core.parent_watch import watch_parent


def app() -> Litestar:
    # After a `kill -9` of `kernapay serve`, its workers must stop too, or they would keep its port.
    watch_parent()
    with frozen_start():
        return create_app()
