"""The order of the guide's pages. Each is a file in `kernapay/docs`, and is in README's list too."""

from typing import Final

START: Final = "start"
"""The page that shows README."""

CONTENTS: Final = {
    "Sell": (
        *(START, "integrate", "examples", "errors"),
        *("customers", "events", "accounts", "receipts"),
    ),
    "Try it": ("development", "sandbox", "plugins", "differences"),
    "Money": ("payments", "refunds", "settlements", "reconciliation", "proof", "finance"),
    "Run it": (
        *("operations", "configuration", "administration", "monitoring"),
        *("upgrading", "moving", "scaling", "security"),
    ),
    "Work on it": ("contributing", "benchmarks", "changelog", "licences"),
}
"""The names of the pages by the title of their group."""
