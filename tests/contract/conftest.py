import json
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """What `kernapay openapi` writes."""
    written = subprocess.run(
        [sys.executable, "-m", "kernapay", "openapi"], capture_output=True, text=True, check=True
    )
    return json.loads(written.stdout)
