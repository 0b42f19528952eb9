"""Write into a wheel which commit it was built from."""

import subprocess
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WriteCommit(BuildHookInterface):
    """Adds `kernapay/COMMIT`, unless git is not installed or knows nothing of the sources.

    An editable installation has none: it is whatever the checkout is.
    """

    def initialize(self, version, build_data):
        if version == "editable":
            return
        try:
            head = subprocess.run(
                ["git", "rev-parse", "HEAD"],  # noqa: S607
                cwd=self.root,
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return
        path = Path(self.directory) / "COMMIT"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head.stdout)
        build_data["force_include"][str(path)] = "kernapay/COMMIT"

    def finalize(self, version, build_data, artifact_path):
        (Path(self.directory) / "COMMIT").unlink(missing_ok=True)
