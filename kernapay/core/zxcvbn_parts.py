"""The parts of zxcvbn that are used. The whole package would keep 12 MB in every process."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path


def read_frequency_list(name: str) -> list[str]:
    """Return one of its lists of words, the most used first."""
    spec = find_spec("zxcvbn")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("zxcvbn")
    module = runpy.run_path(str(Path(spec.origin).with_name("frequency_lists.py")))
    words: list[str] = module["FREQUENCY_LISTS"][name]
    return words


def guesses_log10(secret: str) -> float:
    """Return how many guesses zxcvbn thinks a secret takes, as a power of ten. The first call imports zxcvbn."""
    from zxcvbn import zxcvbn  # imported here because it takes long, and development does without

    return float(zxcvbn(secret)["guesses_log10"])


def forget() -> None:
    """Unload the modules that `guesses_log10` has imported."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "zxcvbn"]:
        del sys.modules[module]
