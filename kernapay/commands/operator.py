"""Who runs a command, for the audit log."""

import os
import pwd

from kernapay.security.principal import Operator


def operator() -> Operator:
    """Return the operator of this process.

    The name comes from the process's own user id. Variables such as USER are written by whoever runs the command.
    """
    user_id = os.getuid()
    try:
        return Operator(pwd.getpwuid(user_id).pw_name)
    except KeyError:
        return Operator(f"uid {user_id}")  # as in a container without an entry for its user
