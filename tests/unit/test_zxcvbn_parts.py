"""What we use of zxcvbn stays in no process."""

import subprocess
import sys

SCRIPT = """
import sys
from kernapay.config.secret_strength import find_weak_secrets
from kernapay.security import passwords
from tests.environment import PRODUCTION, settings_from

assert "letmein" in passwords._COMMON and len(passwords._COMMON) == 10_000
settings = settings_from(PRODUCTION)
assert list(find_weak_secrets(settings)) == []
print([name for name in sys.modules if name.startswith("zxcvbn")])
"""


def test_neither_its_lists_nor_its_matchers_are_kept() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"
